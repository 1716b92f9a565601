import test from 'ava';
import { native, type Fd } from '#dist/native.js';
import type { CloseReason, ConnectionLimits } from '#dist/varlink/connection.js';
import { parseInterface } from '#dist/varlink/idl.js';
import { Service, type ErrorReply, type MethodHandler } from '#dist/varlink/service.js';
import { LIMITS, Observed, fdsBackTo, fdsOnceThey, openFds, someFd, turns } from './helpers.js';

const definition = parseInterface(`interface org.example.test
method Echo(text: string, number: ?int) -> (text: string)
method Count(to: int) -> (at: int)
method Fds(index: int) -> (taken: int)
method Slow(text: string) -> (text: string)
method Fail(how: string) -> ()
method Missing() -> ()
error Broken (why: string)
`);

interface Seen {
  readonly running: Set<string>;
  readonly order: string[];
  readonly failures: unknown[];
}

function exampleService(seen: Seen): Service<string> {
  const handlers: Record<string, MethodHandler<string>> = {
    Echo: ({ parameters, context }, reply) => {
      seen.order.push(`${context} ${String(parameters['text'])}`);
      reply.reply({ text: parameters['text'] });
    },
    Count: ({ parameters, more }, reply) => {
      if (!more) return void reply.error('org.varlink.service.ExpectedMore', {});
      const to = Number(parameters['to']);
      for (let at = 1; at < to; at++) reply.continue({ at }, [someFd()]);
      reply.reply({ at: to }, [someFd()]);
    },
    Fds: ({ parameters, fds }, reply) => {
      native.close(fds.take(Number(parameters['index']), 'index'));
      if (fds.count > 1) fds.take(0);
      reply.reply({ taken: fds.count });
    },
    Slow: async ({ parameters }, reply) => {
      const text = String(parameters['text']);
      seen.running.add(text);
      await turns(3);
      seen.order.push(`${text} among ${seen.running.size}`);
      seen.running.delete(text);
      reply.reply({ text });
    },
    Fail: async ({ parameters }, reply) => {
      await turns(1);
      switch (parameters['how']) {
        case 'throw':
          throw new Error('secret: /etc/shadow');
        case 'declared':
          return void reply.error('Broken', { why: 'it is' });
        case 'undeclared':
          return void reply.error('Odd', {});
        case 'reply':
          return void reply.reply({ surprise: 1 }, [someFd()]);
        case 'twice':
          reply.reply({});
          return void reply.reply({}, [someFd()]);
        case 'uninvited':
          return void reply.continue({}, [someFd()]);
        default: // no answer
      }
    },
  };
  return new Service({
    vendor: 'v',
    product: 'p',
    version: '1',
    url: 'u',
    interfaces: [{ definition, handlers }],
    checkReplies: true,
    internalError: (error) => {
      seen.failures.push(error);
      return { name: 'org.example.test.Broken', parameters: { why: 'internal' } };
    },
  });
}

/** A service on one socket, and a client of it that is a bare connection. */
class Served {
  readonly seen: Seen = { running: new Set(), order: [], failures: [] };
  readonly client: Observed;
  closed: CloseReason | null = null;

  constructor(
    admit?: () => ErrorReply | null,
    admitMessage?: (bytes: number) => ErrorReply | null,
    limits: Partial<ConnectionLimits> = {},
  ) {
    this.client = new Observed({ maxFdsPerMessage: 253 });
    exampleService(this.seen).serve({
      socket: this.client.peer,
      limits: { ...LIMITS, ...limits },
      context: 'someone',
      onClose: (reason) => (this.closed = reason),
      ...(admit !== undefined && { admit }),
      ...(admitMessage !== undefined && { admitMessage }),
    });
  }

  /** @returns as many replies as there are calls */
  async call(
    ...calls: readonly (readonly [value: object, fds?: readonly Fd[]])[]
  ): Promise<readonly Record<string, unknown>[]> {
    const from = this.client.messages.length;
    for (const [value, fds] of calls) this.client.connection.send(value, fds);
    await this.client.received(from + calls.length);
    return this.client.messages.slice(from).map(({ value }) => value);
  }

  async end(): Promise<void> {
    this.client.connection.close();
    for (const fd of this.client.messages.flatMap(({ fds }) => fds)) native.close(fd);
    while (this.closed === null) await turns(1);
  }
}

const method = (name: string, parameters: object = {}): object => ({ method: `org.example.test.${name}`, parameters });
const invalid = (parameter: string): object => ({
  error: 'org.varlink.service.InvalidParameter',
  parameters: { parameter },
});

test.serial('a call is answered, and the handler knows the caller', async (t) => {
  const served = new Served();
  t.deepEqual(await served.call([method('Echo', { text: 'hi' })]), [{ parameters: { text: 'hi' } }]);
  t.deepEqual(served.seen.order, ['someone hi']);
  await served.end();
});

test.serial('the service describes itself', async (t) => {
  const served = new Served();
  const describe = { method: 'org.varlink.service.GetInterfaceDescription' };
  const [info, description, own, none] = await served.call(
    [{ method: 'org.varlink.service.GetInfo' }],
    [{ ...describe, parameters: { interface: 'org.example.test' } }],
    [{ ...describe, parameters: { interface: 'org.varlink.service' } }],
    [{ ...describe, parameters: { interface: 'org.example.none' } }],
  );
  t.deepEqual(info, {
    parameters: {
      vendor: 'v',
      product: 'p',
      version: '1',
      url: 'u',
      interfaces: ['org.varlink.service', 'org.example.test'],
    },
  });
  t.deepEqual(description, { parameters: { description: definition.description } });
  t.regex((own as { parameters: { description: string } }).parameters.description, /method GetInfo\(\)/);
  t.deepEqual(none, {
    error: 'org.varlink.service.InterfaceNotFound',
    parameters: { interface: 'org.example.none' },
  });
  await served.end();
});

const answered = test.macro({
  exec: async (t, call: object, expected: object) => {
    const served = new Served();
    t.deepEqual(await served.call([call], [method('Echo', { text: 'still here' })]), [
      expected as Record<string, unknown>,
      { parameters: { text: 'still here' } },
    ]);
    t.deepEqual(served.seen.failures, []);
    await served.end();
  },
  title: (name) => `${name} is answered by an error, and the connection goes on`,
});

const notFound = (kind: string, parameters: object): object => ({ error: `org.varlink.service.${kind}`, parameters });
test.serial(
  'an unknown interface',
  answered,
  { method: 'org.example.no.Echo' },
  notFound('InterfaceNotFound', { interface: 'org.example.no' }),
);
test.serial(
  'a method without an interface',
  answered,
  { method: 'Echo' },
  notFound('InterfaceNotFound', { interface: '' }),
);
test.serial(
  'an unknown method',
  answered,
  method('Nothing'),
  notFound('MethodNotFound', { method: 'org.example.test.Nothing' }),
);
test.serial(
  'a method with a name of Object.prototype',
  answered,
  method('constructor'),
  notFound('MethodNotFound', { method: 'org.example.test.constructor' }),
);
test.serial(
  'a method without a handler',
  answered,
  method('Missing'),
  notFound('MethodNotImplemented', { method: 'org.example.test.Missing' }),
);
test.serial('a message without a method', answered, {}, invalid('method'));
test.serial('a method that is not a string', answered, { method: 1 }, invalid('method'));
test.serial('an unknown field beside the method', answered, { ...method('Echo'), extra: 1 }, invalid('extra'));
test.serial(
  'a field __proto__ beside the method',
  answered,
  JSON.parse('{"method":"a.b.C","__proto__":{}}') as object,
  invalid('__proto__'),
);
test.serial('parameters that are a list', answered, { ...method('Echo'), parameters: [] }, invalid('parameters'));
test.serial('parameters that are null', answered, { ...method('Echo'), parameters: null }, invalid('parameters'));
test.serial('a missing parameter', answered, method('Echo'), invalid('text'));
test.serial('an unknown parameter', answered, method('Echo', { text: '', txet: '' }), invalid('txet'));
test.serial('a parameter of a wrong type', answered, method('Echo', { text: '', number: '1' }), invalid('number'));
test.serial('an upgrade', answered, { ...method('Echo', { text: '' }), upgrade: true }, invalid('upgrade'));
test.serial('a declared error', answered, method('Fail', { how: 'declared' }), {
  error: 'org.example.test.Broken',
  parameters: { why: 'it is' },
});
test.serial('a method that needs more', answered, method('Count', { to: 3 }), notFound('ExpectedMore', {}));

test.serial('a oneway call is carried out and not answered, not even by an error', async (t) => {
  const served = new Served();
  const replies = await served.call([method('Echo', { text: 'after' })]);
  t.is(replies.length, 1);
  served.client.connection.send({ ...method('Echo', { text: 'quiet' }), oneway: true });
  served.client.connection.send({ ...method('Fail', { how: 'declared' }), oneway: true });
  served.client.connection.send({ ...method('Nothing'), oneway: true });
  t.deepEqual(await served.call([method('Echo', { text: 'loud' })]), [{ parameters: { text: 'loud' } }]);
  t.deepEqual(served.seen.order, ['someone after', 'someone quiet', 'someone loud']);
  await served.end();
});

test.serial('continued replies say so, each with its fds, and the last does not', async (t) => {
  const before = openFds();
  const served = new Served();
  served.client.connection.send({ ...method('Count', { to: 3 }), more: true });
  const messages = await served.client.received(3);
  t.deepEqual(
    messages.map(({ value }) => value),
    [{ parameters: { at: 1 }, continues: true }, { parameters: { at: 2 }, continues: true }, { parameters: { at: 3 } }],
  );
  t.deepEqual(
    messages.map(({ fds }) => fds.length),
    [1, 1, 1],
  );
  await served.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('pipelined calls run one at a time and in order', async (t) => {
  const served = new Served();
  const texts = Array.from({ length: 50 }, (_, index) => `call ${index}`);
  const replies = await served.call(...texts.map((text) => [method('Slow', { text })] as const));
  t.deepEqual(
    replies,
    texts.map((text) => ({ parameters: { text } })),
  );
  t.deepEqual(
    served.seen.order,
    texts.map((text) => `${text} among 1`),
  );
  await served.end();
});

test.serial('fds that a handler does not take, takes twice or that do not exist are closed', async (t) => {
  const before = openFds();
  const served = new Served();
  const replies = await served.call(
    [method('Fds', { index: 0 }), [someFd()]],
    [method('Fds', { index: 1 }), [someFd(), someFd(), someFd()]], // takes 1, and 0 without closing it: closed below
    [method('Fds', { index: 0 }), [someFd(), someFd()]], // 0 is taken twice
    [method('Fds', { index: 4 }), [someFd()]],
    [method('Fds', { index: -1 }), [someFd()]],
    [method('Fds', { index: 0 })],
    [method('Echo', { text: 'unwanted' }), [someFd(), someFd()]],
    [method('Nothing'), [someFd(), someFd()]],
    [{ method: 1 }, [someFd(), someFd()]],
  );
  t.deepEqual(replies.slice(0, 6), [
    { parameters: { taken: 1 } },
    { parameters: { taken: 3 } },
    invalid('fds'),
    invalid('index'),
    invalid('index'),
    invalid('index'),
  ]);
  await served.end();
  const left = await fdsOnceThey((fds) => fds.length === before.length + 1);
  const leaked = left.filter((fd) => !before.includes(fd));
  t.is(leaked.length, 1, 'the one that the handler took and kept');
  native.close(Number(leaked[0]?.split(' ')[0]));
});

const failed = test.macro({
  exec: async (t, how: string, message: RegExp, expected: object) => {
    const before = openFds();
    const served = new Served();
    const [first, second] = await served.call([method('Fail', { how })], [method('Echo', { text: 'on' })]);
    t.deepEqual(first, expected);
    t.deepEqual(second, { parameters: { text: 'on' } });
    t.is(served.seen.failures.length, 1);
    t.regex(String(served.seen.failures[0]), message);
    await served.end();
    t.deepEqual(await fdsBackTo(before), before);
  },
  title: (name) => `a handler that ${name} is reported inside, the caller learns no more than it should`,
});

const internal = { error: 'org.example.test.Broken', parameters: { why: 'internal' } };
test.serial('throws', failed, 'throw', /shadow/, internal);
test.serial('does not answer', failed, 'nothing', /did not reply/, internal);
test.serial('answers twice', failed, 'twice', /already answered/, { parameters: {} });
test.serial('continues for a caller that did not ask for more', failed, 'uninvited', /did not ask/, internal);
test.serial('replies with an undeclared field', failed, 'reply', /surprise: is not a known field/, internal);
test.serial('fails with an error that is not declared', failed, 'undeclared', /Odd is not defined/, internal);

test.serial('a call can be refused before it is parsed', async (t) => {
  const before = openFds();
  let calls = 0;
  const refusal = { name: 'org.other.Limited', parameters: { perSecond: 1 } };
  const served = new Served(() => (++calls > 1 ? refusal : null));
  const replies = await served.call(
    [method('Echo', { text: 'one' })],
    [method('Echo', { text: 'two' }), [someFd()]],
    [{ nonsense: 1 }],
  );
  const refused = { error: 'org.other.Limited', parameters: { perSecond: 1 } };
  t.deepEqual(replies, [{ parameters: { text: 'one' } }, refused, refused]);
  await served.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('a message that is refused by its length is answered unread, in its place among the others', async (t) => {
  const before = openFds();
  const lengths: number[] = [];
  const refusal = { name: 'org.other.Limited', parameters: { perSecond: 1 } };
  const served = new Served(undefined, (bytes) => {
    lengths.push(bytes);
    return bytes > 100 ? refusal : null;
  });
  const { connection } = served.client;
  const long = 'x'.repeat(500);
  connection.send(method('Slow', { text: 'one' }));
  connection.send(method('Echo', { text: long }), [someFd()]);
  connection.send(method('Slow', { text: 'two' }));
  connection.send(method('Echo', { text: long }));
  const answers = await served.client.received(4);
  const refused = { error: 'org.other.Limited', parameters: { perSecond: 1 } };
  t.deepEqual(
    answers.map(({ value }) => value),
    [{ parameters: { text: 'one' } }, refused, { parameters: { text: 'two' } }, refused],
  );
  t.is(lengths[0], JSON.stringify(method('Slow', { text: 'one' })).length);
  t.deepEqual(served.seen.order, ['one among 1', 'two among 1']);
  await served.end();
  t.deepEqual(await fdsBackTo(before), before);
});

test.serial('bytes that are not JSON end the connection only when the sender is within its limits', async (t) => {
  let left = 1;
  const refusal = { name: 'org.other.Limited', parameters: {} };
  const served = new Served(undefined, () => (left > 0 ? null : refusal));
  left = 0;
  native.sendMessage(served.client.socket, Buffer.from('no json\0'), []);
  await served.client.received(1);
  t.deepEqual(served.client.messages[0]?.value, { error: 'org.other.Limited', parameters: {} });
  t.is(served.closed, null);
  left = 1;
  native.sendMessage(served.client.socket, Buffer.from('no json\0'), []);
  t.regex((await served.client.closed()).detail, /closed/);
  while (served.closed === null) await turns(1);
  t.is(served.closed.detail, 'message is not JSON');
});

test.serial('refused messages that are sent at once are answered one in each turn of the event loop', async (t) => {
  const refusal = { name: 'org.other.Limited', parameters: {} };
  const perTurn: number[] = [];
  let turn: NodeJS.Immediate | null = null;
  const served = new Served(undefined, () => {
    if (turn === null) {
      perTurn.push(0);
      turn = setImmediate(() => (turn = null));
    }
    perTurn.push((perTurn.pop() ?? 0) + 1);
    return refusal;
  });
  native.sendMessage(served.client.socket, Buffer.from('x\0'.repeat(40)), []);
  await served.client.received(40);
  t.is(perTurn.length, 40);
  t.true(perTurn.every((count) => count === 1));
  await served.end();
});

test.serial('a message of too many values ends the connection unparsed', async (t) => {
  const served = new Served(undefined, undefined, { values: 10 });
  t.deepEqual(await served.call([method('Echo', { text: ',,,,,,,,,,,,' })]), [
    { parameters: { text: ',,,,,,,,,,,,' } },
  ]);
  served.client.connection.send(method('Echo', { text: 'x', number: Array.from({ length: 10 }, () => 1) }));
  await served.client.closed();
  while (served.closed === null) await turns(1);
  t.is(served.closed.detail, 'JSON of more than 10 values');
});

test.serial('a client that goes away while its call runs leaves nothing behind', async (t) => {
  const before = openFds();
  for (let round = 0; round < 100; round++) {
    const served = new Served();
    served.client.connection.send(method('Slow', { text: 'x' }), [someFd()]);
    served.client.connection.send(method('Slow', { text: 'y' }), [someFd()]);
    await turns(1);
    await served.end();
  }
  await turns();
  t.deepEqual(await fdsBackTo(before), before);
});

test('a handler for a method that is not in the interface is an error at once', (t) => {
  const options = { vendor: '', product: '', version: '', url: '', internalError: () => internal as never };
  t.throws(() => new Service({ ...options, interfaces: [{ definition, handlers: { Ehco: () => undefined } }] }), {
    message: /no method Ehco/,
  });
});
