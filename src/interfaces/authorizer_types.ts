/**
 * The JSON forms of org.perfbroker.Authorizer, one type for each in the interface definition.
 * Made from it: after a change there, run test/interfaces/broker_types.test.ts with UPDATE_TYPES=1.
 */

/**
 * About whom: a caller on the system bus (busName), or a process (pid with startTime, clock ticks since boot, as a
 * decimal string). uid in either case.
 */
export interface Subject {
  readonly uid: number;
  readonly pid: number;
  readonly startTime: string;
  readonly busName?: string;
}

/**
 * action: an id as org.perfbroker.sample-own. details: what the message in the dialog is filled with: target, events,
 * caller. interactive: whether a dialog may come up. authorized is the answer; challenge: a dialog would be needed
 * to get it; dismissed: there was one, and somebody closed it.
 */
export interface CheckParameters {
  readonly subject: Subject;
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
  readonly interactive: boolean;
}

export interface CheckReply {
  readonly authorized: boolean;
  readonly challenge: boolean;
  readonly dismissed: boolean;
}

/**
 * polkit can not be asked: no bus, no polkit, no answer.
 */
export interface UnavailableError {
  readonly message: string;
}
