import test from 'ava';
import { RequestLog, requestLine } from '#dist/broker/audit/request_log.js';
import { brokerError } from '#dist/model/errors/error_table.js';

const CALLER = { uid: 1000, pid: 77 };
const DENIED = brokerError('PolicyDenied', 'no-rule', 'no rule allows it', { details: { reasons: [] } });

test('a line names the method, the caller, the decision with its rule, the error and the time', (t) => {
  const line = { method: 'Open', caller: CALLER, decision: null, error: null, ms: 3.14159 };
  t.is(requestLine(line), 'Open of uid 1000 pid 77: answered, 3.1 ms');
  t.is(
    requestLine({ ...line, decision: { verdict: 'allow', rule: 'own' } }),
    'Open of uid 1000 pid 77: allow by rule "own", 3.1 ms',
  );
  t.is(
    requestLine({ ...line, decision: { verdict: 'deny' }, error: DENIED }),
    'Open of uid 1000 pid 77: deny, PolicyDenied no-rule, 3.1 ms',
  );
  t.is(requestLine({ ...line, error: new TypeError('secret') }), 'Open of uid 1000 pid 77: TypeError, 3.1 ms');
});

test('a decision belongs to its own request when several requests are in progress', async (t) => {
  const lines: string[] = [];
  const log = new RequestLog((line) => lines.push(line.replace(/, [\d.]+ ms$/, '')));
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const handle = (uid: number, ms: number) => async (): Promise<void> => {
    await pause(ms);
    log.note({ uid, pid: uid }, { verdict: 'allow', rule: `of ${uid}` });
    await pause(ms);
  };
  await Promise.all([log.run('Open', CALLER, handle(1, 10)), log.run('Redeem', CALLER, handle(2, 1))]);
  t.deepEqual(lines.toSorted(), [
    'Open of uid 1 pid 1: allow by rule "of 1"',
    'Redeem of uid 2 pid 2: allow by rule "of 2"',
  ]);
});

test('a failed request is logged, and its error goes on to the caller', async (t) => {
  const lines: string[] = [];
  const log = new RequestLog((line) => lines.push(line));
  const failing = log.run('Open', CALLER, () => {
    throw DENIED;
  });
  t.is(await t.throwsAsync(failing), DENIED);
  t.is(lines.length, 1);
  t.regex(lines[0]!, /PolicyDenied no-rule/);
});

test('a decision outside of any request is not logged', (t) => {
  const lines: string[] = [];
  new RequestLog((line) => lines.push(line)).note(CALLER, { verdict: 'allow' });
  t.deepEqual(lines, []);
});

test('a request that was refused before its method ran is logged with its error', (t) => {
  const lines: string[] = [];
  const log = new RequestLog((line) => lines.push(line));
  const invalid = { name: 'org.varlink.service.InvalidParameter', parameters: { parameter: 'events' } };
  const busy = { name: 'org.perfbroker.Broker.QuotaExceeded', parameters: { code: 'rate', message: 'too fast' } };
  log.refused(CALLER, invalid, 'org.perfbroker.Broker.Open');
  log.refused(CALLER, busy, undefined);
  log.refused(CALLER, invalid, `org.\u001b[31m${'x'.repeat(100)}`);
  log.refused(CALLER, invalid, { toString: 'x' });
  t.deepEqual(lines, [
    'Open of uid 1000 pid 77: refused, InvalidParameter',
    'a message of uid 1000 pid 77: refused, QuotaExceeded rate',
    `"\\u{001b}[31m${'x'.repeat(35)}…" of uid 1000 pid 77: refused, InvalidParameter`,
    'a message of uid 1000 pid 77: refused, InvalidParameter',
  ]);
});
