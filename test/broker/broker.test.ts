import test from 'ava';
import { Broker, type BrokerDependencies } from '#dist/broker/broker.js';
import type { Subject } from '#dist/model/identity/subject.js';
import type { Policy } from '#dist/policy/types.js';

const FRONT_END = 900;
const SUBJECT = { uid: 1000, pid: 77 } as Subject;
const RECORD = { action: 'open', verdict: 'deny' } as const;

/** Tokens that are used do not come back during a test. */
function policy(burst: number): Policy {
  return { service: { requestsPerSecond: 1e-6, burst, connections: 4, idleExitSeconds: 0 } } as Policy;
}

function newBroker(burst = 3): { broker: Broker; errors: string[]; audit: { full: boolean; written: unknown[] } } {
  const errors: string[] = [];
  const audit = { full: false, written: [] as unknown[] };
  const dependencies = {
    frontEnd: FRONT_END,
    slowness: 1,
    subordinateUids: { userOf: ({ uid }: { readonly uid: number }) => uid },
    requestLog: null,
    log: { error: (text: string) => errors.push(text) },
    audit: {
      write: (_: Subject, record: unknown) => {
        if (audit.full) throw new Error('ENOSPC');
        audit.written.push(record);
      },
    },
  } as unknown as BrokerDependencies;
  return { broker: new Broker(dependencies, policy(burst)), errors, audit };
}

test('phases go forward only: tickets end first, then all calls except the last ones of a client', (t) => {
  const { broker } = newBroker();
  t.is(broker.phase, 'serving');
  t.notThrows(() => broker.requireTickets());
  broker.enter('draining');
  t.like(
    t.throws(() => broker.requireTickets()),
    { error: 'Unavailable', code: 'shutting-down' },
  );
  t.is(broker.admitCall(false), null);
  broker.enter('stopping');
  t.like(broker.admitCall(false), { error: 'Unavailable', code: 'shutting-down' });
  t.is(broker.admitCall(true), null);
  broker.enter('draining');
  t.is(broker.phase, 'stopping');
});

test('connections and messages take tokens, long messages take more, and those of the front end take none', (t) => {
  const { broker } = newBroker(3);
  t.true(broker.admitConnection(SUBJECT));
  t.is(broker.admitMessage(SUBJECT, 1025, 0), null, 'two tokens');
  t.like(broker.admitMessage(SUBJECT, 1, 0), { error: 'RateLimited' });
  t.false(broker.admitConnection(SUBJECT));
  t.false(broker.mayLog(SUBJECT));
  for (let count = 0; count < 10; count++) t.is(broker.admitMessage({ uid: FRONT_END }, 1024, 0), null);
  t.is(broker.admitMessage({ uid: 1 }, 1024, 64), null);
  t.like(broker.admitMessage({ uid: 1 }, 1024, 0), { error: 'RateLimited' }, 'fds take tokens also');
});

test('a new policy is in force at once, and every user begins with a full burst', (t) => {
  const { broker } = newBroker(1);
  t.true(broker.admitConnection(SUBJECT));
  t.false(broker.admitConnection(SUBJECT));
  const next = policy(1);
  broker.replacePolicy(next);
  t.is(broker.policy, next);
  t.true(broker.admitConnection(SUBJECT));
});

test('a decision that cannot be recorded is an error of the request, and an end is not held up', (t) => {
  const { broker, errors, audit } = newBroker();
  broker.record(SUBJECT, RECORD);
  t.deepEqual(audit.written, [RECORD]);
  audit.full = true;
  t.like(
    t.throws(() => broker.record(SUBJECT, RECORD)),
    { error: 'AuditFailed' },
  );
  t.notThrows(() => broker.recordIfPossible(SUBJECT, RECORD));
  t.is(errors.length, 2);
});

test('a request counts as running until it has ended, also one that failed', async (t) => {
  const { broker } = newBroker();
  let end = (): void => undefined;
  const running = broker.run(() => new Promise<void>((_, reject) => (end = () => reject(new Error('failed')))));
  t.is(broker.running, 1);
  end();
  await t.throwsAsync(running, { message: 'failed' });
  t.is(broker.running, 0);
});

test('an abandoned request is answered at once, and its own end later changes nothing', async (t) => {
  const { broker } = newBroker();
  let end = (): void => undefined;
  const running = broker.run(() => new Promise<void>((_, reject) => (end = () => reject(new Error('too late')))));
  broker.abandonRequests();
  t.like(await t.throwsAsync(running), { error: 'Unavailable', code: 'shutting-down' });
  t.is(broker.running, 1);
  end();
  await new Promise((resolve) => setImmediate(resolve));
  t.is(broker.running, 0);
});

test('a request of more targets than the burst is served, and its user waits longer afterwards', (t) => {
  const { broker } = newBroker(10);
  const user = { uid: 1000 };
  t.true(broker.admitConnection(user));
  t.is(broker.admitMessage(user, 9 * 1024, 0), null);
  broker.charge(user, 255);
  t.like(broker.admitMessage(user, 1, 0), { error: 'RateLimited' });
  t.false(broker.admitConnection(user));
  t.notThrows(() => broker.admitSender({ uid: 1001 }, 256));
  t.like(
    t.throws(() => broker.admitSender({ uid: 1001 }, 1)),
    { error: 'RateLimited' },
  );
});
