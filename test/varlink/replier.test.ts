import test from 'ava';
import type { Fd } from '#dist/native.js';
import type { Connection } from '#dist/varlink/connection.js';
import { parseInterface } from '#dist/varlink/idl.js';
import { Replier, type ReplyMode } from '#dist/varlink/replier.js';

const DEFINITION = parseInterface('interface org.example.a\nmethod Get() -> (n: int)\nerror Broken (why: string)');
const MODE: ReplyMode = {
  more: false,
  oneway: false,
  method: DEFINITION.methods['Get'] ?? null,
  definition: DEFINITION,
  check: true,
};
const FDS: readonly Fd[] = [11, 12];

/** A connection that only notes what happens to it. */
class FakeConnection {
  readonly sent: { readonly message: object; readonly fds: readonly Fd[]; readonly lent: boolean }[] = [];
  readonly closedFds: Fd[] = [];
  closed = false;

  send(message: object, fds: readonly Fd[], lent: boolean): boolean {
    this.sent.push({ message, fds, lent });
    return !this.closed;
  }

  closeFds(fds: readonly Fd[]): void {
    this.closedFds.push(...fds);
  }
}

function open(mode: Partial<ReplyMode> = {}): { connection: FakeConnection; replier: Replier } {
  const connection = new FakeConnection();
  return { connection, replier: new Replier(connection as unknown as Connection, { ...MODE, ...mode }) };
}

test('a call is answered once, and the fds of a second answer are closed', (t) => {
  const { connection, replier } = open();
  t.false(replier.done);
  t.true(replier.reply({ n: 1 }, FDS));
  t.true(replier.done);
  t.deepEqual(connection.sent, [{ message: { parameters: { n: 1 } }, fds: FDS, lent: false }]);
  t.throws(() => replier.reply({ n: 2 }, [13]), { message: /already answered/ });
  t.throws(() => replier.error('Broken', { why: 'x' }), { message: /already answered/ });
  t.deepEqual(connection.closedFds, [13]);
  t.is(connection.sent.length, 1);
});

test('several replies are for a caller that asked for more', (t) => {
  const { connection, replier } = open({ more: true });
  replier.continue({ n: 1 });
  t.false(replier.done);
  replier.reply({ n: 2 });
  t.deepEqual(
    connection.sent.map(({ message }) => message),
    [{ parameters: { n: 1 }, continues: true }, { parameters: { n: 2 } }],
  );
  const single = open();
  t.throws(() => single.replier.continue({ n: 1 }, FDS), { message: /did not ask/ });
  t.deepEqual(single.connection.closedFds, FDS);
});

test('a reply that does not match its definition is not sent, and its fds are closed', (t) => {
  const { connection, replier } = open();
  t.throws(() => replier.reply({ n: 'one' }, FDS), { message: /does not match org\.example\.a: n/ });
  t.deepEqual([connection.sent, connection.closedFds, replier.done], [[], FDS, false]);
  t.true(open({ check: false }).replier.reply({ n: 'one' }));
});

test('an error has its full name on the wire, and one that is not defined is not sent', (t) => {
  const { connection, replier } = open();
  t.throws(() => replier.error('Odd', {}), { message: /org\.example\.a\.Odd is not defined/ });
  t.throws(() => replier.error('Broken', {}), { message: /why: is missing/ });
  replier.error('Broken', { why: 'x' });
  t.deepEqual(connection.sent[0]?.message, { error: 'org.example.a.Broken', parameters: { why: 'x' } });
  const other = open();
  other.replier.error('org.varlink.service.ExpectedMore', {});
  t.deepEqual(other.connection.sent[0]?.message, { error: 'org.varlink.service.ExpectedMore', parameters: {} });
});

test('a oneway call is answered by nothing, and fds are closed unless they are lent', (t) => {
  const { connection, replier } = open({ oneway: true, more: true });
  replier.lend({ n: 1 }, [11], true);
  t.deepEqual(connection.closedFds, []);
  t.true(replier.reply({ n: 1 }, [12]));
  t.deepEqual([connection.sent, connection.closedFds], [[], [12]]);
});

test('lent fds stay with the caller, also when the reply is refused', (t) => {
  const { connection, replier } = open();
  t.throws(() => replier.lend({ n: 'one' }, FDS, false));
  replier.lend({ n: 1 }, FDS, false);
  t.deepEqual(
    [connection.sent, connection.closedFds],
    [[{ message: { parameters: { n: 1 } }, fds: FDS, lent: true }], []],
  );
  t.true(replier.done);
});

test('an answer to a caller that is gone returns false', (t) => {
  const { connection, replier } = open();
  connection.closed = true;
  t.false(replier.open);
  t.false(replier.reply({ n: 1 }));
});
