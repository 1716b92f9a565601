/**
 * The JSON forms of org.perfbroker.Authorizer, one type for each in the interface definition.
 * Made from it: after a change there, run test/interfaces/broker_types.test.ts with UPDATE_TYPES=1.
 */

/**
 * Subject of a request: a caller on the system bus (busName), or a process (pid with startTime, clock ticks since boot, as a
 * decimal string). uid in both cases.
 */
export interface Subject {
  readonly uid: number;
  readonly pid: number;
  readonly startTime: string;
  readonly busName?: string;
}

/**
 * action: an id such as org.perfbroker.sample-own. details: values for the message in the dialog: target, events, caller.
 * interactive: allows a dialog. authorized: the result. challenge: authorization would require a dialog. dismissed: a dialog was
 * shown and closed without authorization.
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
 * polkit cannot be reached: no bus, no polkit, or no reply.
 */
export interface UnavailableError {
  readonly message: string;
}
