/** Hostile and broken clients against a real daemon: it says no, closes what they sent, and serves the next one. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { ALICE, BOB, runAs, type World } from './as_user.js';
import { noPrivilege, OPEN_POLICY, skip, startDaemon, type Daemon } from './daemon.js';
import { PYTHON, startLingering } from './lingering.js';
import { fdsBackTo, openFds, settledFds } from '../tools/fds_of.js';
import { listenTo } from '../tools/said.js';

const reason = noPrivilege();
if (reason !== null) console.log(`skipped: ${reason}`);
const privileged = reason === null ? test.serial : test.serial.skip;

let daemon: Daemon;
test.serial.before(async () => {
  if (reason === null)
    daemon = await startDaemon({
      policy: `${OPEN_POLICY}\n[service]\nrequests_per_second = 10000\nburst = 20000\nconnections = 100\n`,
    });
});
test.serial.after.always(async () => {
  await daemon?.stop();
});

/** First of the subordinate uids that /etc/subuid lends to a user, for the daemon of a test. */
const LENT = 1_000_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The daemon still answers others, and as many fds are open in the broker as before. */
async function unharmed(fds: number): Promise<string | null> {
  const uid = await runAs(
    { uid: BOB, socket: daemon.socket },
    async ({ client }) => (await (await client.connect()).describe()).caller.uid,
  );
  await fdsBackTo(daemon.parts.broker, fds);
  return uid === BOB ? null : `it takes BOB for ${uid}`;
}

function raw(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(daemon.socket, () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Returns the text that comes until the daemon closes, or until `ms` have passed. */
function readAll(socket: Socket, ms = 3000): Promise<{ text: string; closed: boolean }> {
  return new Promise((resolve) => {
    let text = '';
    const timer = setTimeout(() => resolve({ text, closed: false }), ms);
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve({ text, closed: true });
    });
  });
}

privileged('garbage, an oversized message and a deeply nested one each end that connection and no other', async (t) => {
  const before = await settledFds(daemon.parts.broker);
  const messages = [
    'not json\0',
    `{"method":"${'x'.repeat(400_000)}`,
    `{"method":${'['.repeat(100_000)}\0`,
    '[]\0',
    '\0',
    '"x"\0',
    '{"method":1}\0{',
  ];
  for (const message of messages) {
    const socket = await raw();
    const answer = readAll(socket);
    socket.write(message);
    const { text, closed } = await answer;
    t.true(closed || text.includes('"error"'), `${message.slice(0, 20)}: ${text.slice(0, 200)}`);
    t.false(text.includes('    at '), 'no stack travels to a client');
    socket.destroy();
  }
  t.is(await unharmed(before), null);
});

privileged('unknown methods, interfaces, parameters and prototype tricks are errors with names', async (t) => {
  const calls: [object, RegExp][] = [
    [{ method: 'org.perfbroker.Broker.Nothing' }, /MethodNotFound/],
    [{ method: 'org.example.Other.Do' }, /InterfaceNotFound/],
    [{ method: 'org.perfbroker.Broker.Revoke', parameters: { grant: 'x', more: 1 } }, /InvalidParameter/],
    [{ method: 'org.perfbroker.Broker.Revoke', parameters: { grant: 17 } }, /InvalidParameter/],
    [
      {
        method: 'org.perfbroker.Broker.Open',
        parameters: JSON.parse('{"targets":[{"kind":"process","pid":1,"__proto__":{"pid":2}}],"events":[]}') as object,
      },
      /InvalidParameter/,
    ],
    [{ method: 'org.perfbroker.Broker.Open', parameters: { targets: [], events: [] } }, /InvalidEvent|InvalidTarget/],
    [
      {
        method: 'org.perfbroker.Broker.Open',
        parameters: {
          targets: [{ kind: 'process', pid: -1 }],
          events: [{ source: { kind: 'software', name: 'task-clock' } }],
        },
      },
      /InvalidTarget/,
    ],
    [
      {
        method: 'org.perfbroker.Broker.Open',
        parameters: {
          targets: [{ kind: 'process', pidfd: 0 }],
          events: [{ source: { kind: 'software', name: 'task-clock' } }],
        },
      },
      /UnexpectedFds|InvalidParameter/,
    ],
    [{ method: 'org.perfbroker.Broker.constructor' }, /MethodNotFound/],
  ];
  for (const [call, expected] of calls) {
    const socket = await raw();
    const answer = readAll(socket, 400);
    socket.write(`${JSON.stringify(call)}\0`);
    t.regex((await answer).text, expected, JSON.stringify(call));
    socket.destroy();
  }
});

privileged(
  'fds sent to methods that accept none, or more than the targets mention, are refused and closed',
  async (t) => {
    const before = await settledFds(daemon.parts.broker);
    const answers = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ native }) => {
      const { openSync } = await import('node:fs');
      const path = process.env['PERFBROKER_SOCKET']!;
      const ask = async (message: object, count: number): Promise<string> => {
        const socket = native.connectUnix(path);
        const fds = Array.from({ length: count }, () => openSync('/dev/null', 'r'));
        native.sendMessage(socket, Buffer.from(`${JSON.stringify(message)}\0`), fds);
        const into = new Uint8Array(65536);
        for (let tries = 0; tries < 100; tries++) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          const got = native.receiveMessage(socket, into);
          if (got !== null) return got.bytes === 0 ? 'closed' : Buffer.from(into.subarray(0, got.bytes)).toString();
        }
        return 'silence';
      };
      const open = {
        method: 'org.perfbroker.Broker.Open',
        parameters: {
          targets: [{ kind: 'process', pidfd: 0 }],
          events: [{ source: { kind: 'software', name: 'task-clock' } }],
        },
      };
      return [
        await ask({ method: 'org.perfbroker.Broker.Describe' }, 3),
        await ask({ method: 'org.perfbroker.Broker.ListGrants' }, 253),
        await ask(open, 5),
        await ask(open, 1),
        await ask(
          {
            method: 'org.perfbroker.Broker.Open',
            parameters: { ...open.parameters, targets: [{ kind: 'cgroup', directory: 0 }] },
          },
          1,
        ),
        await ask({ method: 'org.varlink.service.GetInfo' }, 9),
      ];
    });
    t.regex(answers[0]!, /UnexpectedFds/);
    t.regex(answers[1]!, /UnexpectedFds/);
    t.regex(answers[2]!, /UnexpectedFds/);
    t.regex(answers[3]!, /InvalidTarget.*not-a-pidfd/);
    t.regex(answers[4]!, /InvalidTarget.*not-a-cgroup/);
    t.is(await unharmed(before), null);
  },
);

privileged(
  'a client that pipelines calls and never reads is throttled, then dropped, and costs others nothing',
  async (t) => {
    const before = await settledFds(daemon.parts.broker);
    const socket = await raw();
    socket.pause();
    const call = `${JSON.stringify({ method: 'org.perfbroker.Broker.Describe' })}\0`;
    let writable = true;
    for (let i = 0; i < 20_000 && writable; i++) writable = socket.write(call.repeat(10)) || i < 50;
    const uid = await runAs(
      { uid: BOB, socket: daemon.socket },
      async ({ client }) => (await (await client.connect()).describe()).caller.uid,
    );
    t.is(uid, BOB);
    const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.parts.broker}/status`, 'latin1'))?.[1]);
    t.true(resident < 150_000, `${resident} KiB resident`);
    socket.destroy();
    t.is(await unharmed(before), null);
  },
);

privileged('messages with many fds cost more, and end the connection over the rate', async (t) => {
  const slow = await startDaemon({ policy: `${OPEN_POLICY}\n[service]\nrequests_per_second = 1\nburst = 50\n` });
  t.teardown(() => slow.stop());
  const ask = (uid: number, count: number): Promise<readonly string[]> =>
    runAs(
      { uid, socket: slow.socket },
      async ({ native }, fds) => {
        const socket = native.connectUnix(process.env['PERFBROKER_SOCKET']!);
        const pidfd = native.pidfdOpen(process.pid);
        const answers: string[] = [];
        const into = new Uint8Array(65536);
        const receive = async (): Promise<string> => {
          let got = native.receiveMessage(socket, into);
          for (; got === null; got = native.receiveMessage(socket, into))
            await new Promise((resolve) => setTimeout(resolve, 5));
          const text = Buffer.from(into.subarray(0, got.bytes)).toString();
          return /Broker[.](\w+)/.exec(text)?.[1] ?? 'closed';
        };
        const call = Buffer.from('{"method":"org.perfbroker.Broker.Describe"}\0');
        const rights = Array.from({ length: fds }, () => pidfd);
        while (answers.at(-1) !== 'closed' && answers.length < 1000) {
          try {
            native.sendMessage(socket, call, rights);
            answers.push(await receive());
          } catch {
            answers.push('closed');
          }
          if (answers.at(-1) === 'RateLimited' && fds === 1) break;
        }
        return answers;
      },
      count,
    );
  // A connection takes a token, a message 1 and 7 for its fds.
  const many = await ask(ALICE, 253);
  t.is(many.at(-1), 'closed', many.join());
  t.true(many.length < 15, many.join());
  // Another user: without a token left, the connection itself would be closed.
  const few = await ask(BOB, 1);
  t.is(few.at(-1), 'RateLimited', 'the connection stays');
});

privileged('an fd whose closing blocks for as long as its sender likes blocks no other client', async (t) => {
  if (!existsSync(PYTHON)) return skip(t, `${PYTHON} is missing`);
  const script = `
call = b'{"method":"org.varlink.service.GetInfo"}\\0'
kept = []
# With a call that takes no fds; with a message that is never finished; and left unread behind one that is no JSON.
for messages in ([call], [b'{'], [b'no json\\0'] * 20):
    connection = socket.socket(socket.AF_UNIX); connection.connect(sys.argv[1])
    for message in messages:
        sender, receiver = lingering()
        kept.append(receiver)
        try: socket.send_fds(connection, [message], [sender.fileno()])
        except OSError:
            kept.append(sender); break  # hung up on; closing it would block here
        sender.close()
    if messages == [b'{']: connection.close()
    kept.append(connection)
print('sent', flush=True)
time.sleep(60)
`;
  const attacker = await startLingering(script, daemon.socket);
  t.teardown(() => attacker.kill('SIGKILL'));
  const uid = await runAs(
    { uid: BOB, socket: daemon.socket },
    async ({ client }) => (await (await client.connect()).describe()).caller.uid,
  );
  t.is(uid, BOB);
  t.is(attacker.exitCode, null, 'the answer came while the sockets linger');
});

privileged('a directory that never answers under the name of a cgroup blocks no other client', async (t) => {
  if (!existsSync(PYTHON) || !existsSync('/dev/fuse')) return skip(t, `${PYTHON} or /dev/fuse is missing`);
  const cgroups = ['/sys/fs/cgroup/unified', '/sys/fs/cgroup'].find((path) => existsSync(`${path}/cgroup.procs`));
  if (cgroups === undefined) return skip(t, 'there is no cgroup2');
  // Root stands in for fusermount(1) with allow_other, and for a user namespace with mounts of its own.
  const script = `
import ctypes, json, os, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result != 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
path, cgroup, user = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
check(libc.unshare(0x20000)); check(libc.mount(b'none', b'/', None, 1 << 14 | 1 << 18, None))
fuse = os.open('/dev/fuse', os.O_RDWR)
check(libc.mount(b'test', cgroup, b'fuse', 6, b'fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other' % (fuse, user, user)))
def serve():
    while True:
        request = os.read(fuse, 1 << 17)
        operation, unique = struct.unpack_from('<IQ', request, 4)
        if operation == 26: # FUSE_INIT; nothing else is ever answered
            body = struct.pack('<IIIIHHIIHHI7I', 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0, *[0] * 7)
            os.write(fuse, struct.pack('<IiQ', 16 + len(body), 0, unique) + body)
threading.Thread(target=serve, daemon=True).start()
time.sleep(0.2)
directory = os.open(cgroup, os.O_PATH | os.O_DIRECTORY)
os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)
connection = socket.socket(socket.AF_UNIX); connection.connect(path)
event = {'source': {'kind': 'software', 'name': 'task-clock'}, 'exclude': ['kernel']}
call = {'method': 'org.perfbroker.Broker.Explain', 'parameters': {'targets': [{'kind': 'cgroup', 'directory': 0}], 'events': [event]}}
socket.send_fds(connection, [json.dumps(call).encode() + bytes(1)], [directory])
print('sent', flush=True)
print(connection.recv(65536).decode(), flush=True)
time.sleep(60)
`;
  const attacker = spawn(PYTHON, ['-c', script, daemon.socket, cgroups, String(ALICE)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => attacker.kill('SIGKILL'));
  const said = listenTo(attacker, 'stdout');
  await said.match(/^sent/);
  const uid = await runAs(
    { uid: BOB, socket: daemon.socket },
    async ({ client }) => (await (await client.connect()).describe()).caller.uid,
  );
  t.is(uid, BOB);
  await said.match(/"parameters"/);
});

privileged('a client that reads no grant from its socket gets no more than its queue allows', async (t) => {
  const before = await settledFds(daemon.parts.broker);
  const outcome = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ native }) => {
    const socket = native.connectUnix(process.env['PERFBROKER_SOCKET']!);
    const call = Buffer.from(
      `${JSON.stringify({ method: 'org.perfbroker.Broker.Open', parameters: { targets: [{ kind: 'process', pid: process.pid, threads: 'leader' }], events: [{ source: { kind: 'software', name: 'task-clock' }, exclude: ['kernel'] }] } })}\0`,
    );
    let sent = 0;
    for (let i = 0; i < 500; i++) {
      try {
        if (native.sendMessage(socket, call, []) !== null) sent += 1;
        else await new Promise((resolve) => setTimeout(resolve, 5));
      } catch {
        break;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    return sent;
  });
  t.true(outcome > 10);
  t.is(await unharmed(before), null);
});

privileged('connections of one user end at the quota, others still get in', async (t) => {
  const before = await settledFds(daemon.parts.broker);
  const result = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client }) => {
    const connections = [];
    let refused = '';
    for (let i = 0; i < 110; i++) {
      const connection = await client.connect();
      try {
        await connection.describe();
        connections.push(connection);
      } catch (error) {
        refused = `${(error as { error: string }).error} ${(error as { code: string }).code}`;
      }
    }
    return { open: connections.length, refused };
  });
  t.is(result.open, 100);
  t.is(result.refused, 'QuotaExceeded connections');
  t.is(await unharmed(before), null);
});

privileged('1,000 clients that connect, open and vanish leave no fd, no grant and no memory behind', async (t) => {
  const flood = (count: number): Promise<number> =>
    runAs(
      { uid: ALICE, socket: daemon.socket },
      async ({ native }, clients) => {
        const into = new Uint8Array(65536);
        const call = Buffer.from(
          `${JSON.stringify({ method: 'org.perfbroker.Broker.Open', parameters: { targets: [{ kind: 'process', pid: process.pid, threads: 'leader' }], events: [{ source: { kind: 'software', name: 'task-clock' }, exclude: ['kernel'] }] } })}\0`,
        );
        let opened = 0;
        for (let i = 0; i < clients; i++) {
          const socket = native.connectUnix(process.env['PERFBROKER_SOCKET']!);
          native.sendMessage(socket, call, []);
          // A third vanishes at once, a third while its request runs, a third with the fds in hand.
          if (i % 3 === 1) await new Promise((resolve) => setImmediate(resolve));
          for (let tries = 0; i % 3 === 2 && tries < 500; tries++) {
            const got = native.receiveMessage(socket, into);
            if (got !== null) {
              opened += got.fds.length;
              for (const fd of got.fds) native.close(fd);
              break;
            }
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
          native.close(socket);
          if (i % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return opened;
      },
      count,
    );
  await flood(100);
  await sleep(300);
  const before = await settledFds(daemon.parts.broker);
  const openerBefore = await settledFds(daemon.parts.opener);
  const resident = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.parts.broker}/status`, 'latin1'))?.[1]);
  const memoryBefore = resident();
  const opened = await flood(1000);
  t.true(opened > 300, `${opened} opened`);
  t.is(await unharmed(before), null);
  await fdsBackTo(daemon.parts.opener, openerBefore);
  t.true(resident() - memoryBefore < 40_000, `${memoryBefore} KiB became ${resident()} KiB`);
  const grants = await runAs(
    { uid: 0, socket: daemon.socket },
    async ({ client }) => (await (await client.connect()).listGrants({ all: true })).length,
  );
  t.is(grants, 0);
});

privileged('a user over the request rate gets an error that says so, and others get none', async (t) => {
  const slow = await startDaemon({ policy: `${OPEN_POLICY}\n[service]\nrequests_per_second = 5\nburst = 5\n` });
  t.teardown(() => slow.stop());
  const refused = await runAs({ uid: ALICE, socket: slow.socket }, async ({ client }) => {
    const connection = await client.connect();
    let count = 0;
    for (let i = 0; i < 30; i++)
      await connection.describe().catch((error: { error: string }) => (count += error.error === 'RateLimited' ? 1 : 0));
    return count;
  });
  t.true(refused >= 15, `${refused} of 30 refused`);
  const uid = await runAs(
    { uid: BOB, socket: slow.socket },
    async ({ client }) => (await (await client.connect()).describe()).caller.uid,
  );
  t.is(uid, BOB);
});

privileged('a request costs one token for each target, even when its user has fewer left', async (t) => {
  const limited = await startDaemon({ policy: `${OPEN_POLICY}\n[service]\nrequests_per_second = 1\nburst = 100\n` });
  t.teardown(() => limited.stop());
  const codes = await runAs({ uid: ALICE, socket: limited.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const events = syntax.parseEvents('task-clock:u');
    const told: string[] = [];
    for (let i = 0; i < 4; i++) {
      const targets = Array.from({ length: 45 }, () => ({ pid: process.pid }));
      told.push(
        await connection.explain({ targets, events }).then(
          () => 'explained',
          (error: { error: string }) => error.error,
        ),
      );
    }
    return told;
  });
  t.deepEqual(codes, ['explained', 'explained', 'explained', 'RateLimited']);
});

privileged("a flood of 256 KiB messages ends at its user's rate, unread, and others are served", async (t) => {
  const policy = `${OPEN_POLICY}\n[service]\nrequests_per_second = 1\nburst = 600\n`;
  const limited = await startDaemon({ policy });
  t.teardown(() => limited.stop());
  const began = Date.now();
  const flood = runAs({ uid: ALICE, socket: limited.socket }, async ({ native }) => {
    const call = `{"method":"org.perfbroker.Broker.${'x'.repeat(262_000)}"}`;
    const told: string[] = [];
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        const socket = native.connectUnix(process.env['PERFBROKER_SOCKET']!);
        const into = new Uint8Array(65536);
        for (let message = 0; message < 8; message++) {
          // No JSON from the second on: who has not paid for finding out is not hung up on.
          const bytes = Buffer.from(`${message === 0 ? call : call.slice(1)}\0`);
          for (let at = 0; at < bytes.length;) {
            const sent = native.sendMessage(socket, bytes.subarray(at), []);
            if (sent === null) await new Promise((resolve) => setTimeout(resolve, 1));
            else at += sent;
          }
          let got = native.receiveMessage(socket, into);
          for (; got === null; got = native.receiveMessage(socket, into))
            await new Promise((resolve) => setTimeout(resolve, 1));
          const answer = got.bytes === 0 ? null : Buffer.from(into.subarray(0, got.bytes)).toString();
          told.push(answer === null ? 'closed' : (/[A-Z]\w+(?=")/.exec(answer)?.[0] ?? answer));
          if (answer === null) break;
        }
        native.close(socket);
      }),
    );
    return told;
  });
  const settled = { flood: false };
  void flood.finally(() => (settled.flood = true));
  do {
    const uid = await runAs(
      { uid: BOB, socket: limited.socket },
      async ({ client }) => (await (await client.connect()).describe()).caller.uid,
    );
    t.is(uid, BOB);
  } while (!settled.flood);
  const told = await flood;
  // Each message takes 256 tokens and each connection one: two messages at once, and one more in 256 seconds.
  const read = told.filter((answer) => answer !== 'RateLimited');
  t.true(read.length >= 2 && read.length <= 2 + (Date.now() - began) / 256_000, told.join());
  t.is(read[0], 'MethodNotFound');
  t.true(told.length >= 16 * 8 - 2 * 7, `${told.length} answers`);
});

privileged('a collector that runs out of fds gets an error and no partial grant', async (t) => {
  const before = await settledFds(daemon.parts.broker);
  const outcome = await runAs({ uid: ALICE, socket: daemon.socket, ulimit: '-n 40' }, async ({ client, syntax }) => {
    const { readdirSync } = await import('node:fs');
    const connection = await client.connect();
    const open = readdirSync('/proc/self/fd').length;
    try {
      await connection.open({
        targets: Array.from({ length: 30 }, () => ({ pid: process.pid, threads: 'leader' as const })),
        events: syntax.parseEvents('task-clock:u'),
      });
      return 'opened';
    } catch (error) {
      return `${(error as Error).name} left ${readdirSync('/proc/self/fd').length - open}`;
    }
  });
  t.regex(outcome, /left (-\d+|0|1)$/);
  t.is(await unharmed(before), null);
});

privileged('fds that one user leaves in closed connections cannot use up the fds for other users', async (t) => {
  const before = await settledFds(daemon.parts.broker);
  const hoarder = runAs({ uid: ALICE, socket: daemon.socket }, async ({ native }) => {
    const target = { kind: 'process', pid: process.pid, threads: 'leader' };
    const event = { source: { kind: 'software', name: 'task-clock' }, exclude: ['kernel'] };
    const open = Buffer.from(
      `${JSON.stringify({ method: 'org.perfbroker.Broker.Open', parameters: { targets: [target], events: Array.from({ length: 16 }, () => event) } })}\0`,
    );
    const sockets: number[] = [];
    let refused = 0;
    for (let i = 0; i < 400; i++) {
      try {
        const socket = native.connectUnix(process.env['PERFBROKER_SOCKET']!);
        native.sendMessage(socket, open, []);
        // Garbage after the call: the broker answers, then closes its end; the fds stay with ours, unread.
        native.sendMessage(socket, Buffer.from('garbage\0'), []);
        sockets.push(socket);
      } catch {
        refused += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return { sockets: sockets.length, refused };
  });
  await sleep(1500);
  const uid = await runAs({ uid: BOB, socket: daemon.socket }, async ({ client, syntax }) => {
    const connection = await client.connect();
    const grant = await connection.open({
      targets: [{ pid: process.pid, threads: 'leader' }],
      events: syntax.parseEvents('task-clock:u'),
    });
    return grant.events.length;
  });
  t.is(uid, 1);
  const held = openFds(daemon.parts.broker) - before;
  t.true(held < 300, `${held} more fds in the broker while one user hoards`);
  t.true((await hoarder).sockets > 100);
  t.is(await unharmed(before), null);
});

privileged(
  'rings that stay mapped after a revoke stay in the quota, and leave it when they are unmapped',
  async (t) => {
    const before = await settledFds(daemon.parts.broker);
    const outcome = await runAs(
      { uid: ALICE, socket: daemon.socket, ulimit: '-l 0' },
      async ({ client, native, syntax }) => {
        const { openSync } = await import('node:fs');
        const connection = await client.connect();
        const [event] = syntax.parseEvents('cpu-clock:u');
        const events = [{ ...event!, sampling: { frequency: 100 }, sampleType: ['ip' as const] }];
        const sink = openSync('/dev/null', 'w');
        const drains: ReturnType<typeof native.createDrain>[] = [];
        const hoard = async (): Promise<string> => {
          try {
            const grant = await connection.open({
              targets: [{ pid: process.pid, threads: 'leader' }],
              events,
              ringBytes: 4 * 1024 * 1024,
            });
            const drain = native.createDrain(sink);
            drain.addRing(grant.events[0]!.fd, 1024);
            drains.push(drain);
            await grant.mapped();
            await grant.close();
            return 'mapped';
          } catch (error) {
            return (error as { code: string }).code;
          }
        };
        const rounds = [];
        for (let i = 0; i < 6; i++) rounds.push(await hoard());
        for (const drain of drains) drain.close();
        await new Promise((resolve) => setTimeout(resolve, 2500));
        const again = await hoard();
        for (const drain of drains) drain.close();
        return { rounds, again };
      },
    );
    t.deepEqual(outcome.rounds.slice(0, 4), ['mapped', 'mapped', 'mapped', 'mapped']);
    t.true(
      outcome.rounds.slice(4).every((round) => round === 'ring-bytes' || round === 'limit'),
      outcome.rounds.join(),
    );
    t.is(outcome.again, 'mapped');
    await sleep(1500);
    t.is(await unharmed(before), null);
  },
);

privileged('a client that only makes mistakes fills no log: each line costs one of its requests', async (t) => {
  const strict = await startDaemon({ policy: `${OPEN_POLICY}\n[service]\nrequests_per_second = 1\nburst = 5\n` });
  t.teardown(() => strict.stop());
  const began = Date.now();
  for (let count = 0; count < 60; count++) {
    const socket = connectSocket(strict.socket);
    await new Promise((resolve) => {
      socket.on('error', () => undefined).once('close', resolve);
      socket.once('data', () => socket.destroy()); // over the rate it is refused unread
      socket.write('garbage\0');
    });
  }
  const lines = [...strict.log().matchAll(/closed: protocol/g)].length;
  t.true(lines >= 1 && lines <= 6 + (Date.now() - began) / 1000, `${lines} lines`);
});

privileged('clients in user namespaces of their own share connections, and leave the rest to others', async (t) => {
  const roomy = await startDaemon({
    policy: `${OPEN_POLICY}\n[service]\nrequests_per_second = 10000\nburst = 20000\nconnections = 1000\n`,
  });
  t.teardown(() => roomy.stop());
  const connect = async ({ client }: World, count: number): Promise<number> => {
    let served = 0;
    const kept = [];
    for (let each = 0; each < count; each++) {
      const connection = await client.connect();
      kept.push(connection);
      served += await connection.describe().then(
        () => 1,
        () => 0,
      );
    }
    return served;
  };
  t.is(await runAs({ uid: ALICE, socket: roomy.socket, ownUserNamespace: true }, connect, 270), 256);
  t.is(await runAs({ uid: ALICE, socket: roomy.socket }, connect, 270), 270);
  t.is(await runAs({ uid: ALICE, socket: roomy.socket, ownUserNamespace: true }, connect, 1), 1, 'they come back');
});

privileged('subordinate uids of users also share connections, and leave the rest to others', async (t) => {
  if (!existsSync('/etc/subuid')) return skip(t, 'there is no /etc/subuid');
  const policy = `${OPEN_POLICY}\n[service]\nconnections = 200\n`;
  const lending = await startDaemon({ policy, subuid: `mallory:${LENT}:65536\n` });
  t.teardown(() => lending.stop());
  const before = await settledFds(lending.parts.broker);
  const done = join(lending.directory, 'done');
  const hold = (uid: number): Promise<number> =>
    runAs(
      { uid, socket: lending.socket },
      async ({ client }, file) => {
        const { existsSync: exists } = await import('node:fs');
        let served = 0;
        const kept = [];
        for (let each = 0; each < 130; each++) {
          const connection = await client.connect();
          kept.push(connection);
          served += await connection.describe().then(
            () => 1,
            () => 0,
          );
        }
        while (!exists(file)) await new Promise((resolve) => setTimeout(resolve, 20));
        await Promise.all(kept.map((connection) => connection.close()));
        return served;
      },
      done,
    );
  const held = [hold(LENT), hold(LENT + 65_535)];
  while (openFds(lending.parts.broker) < before + 256) await sleep(20);
  const uid = await runAs({ uid: BOB, socket: lending.socket }, async ({ client }) => {
    const connection = await client.connect();
    return (await connection.describe()).caller.uid;
  });
  t.is(uid, BOB);
  writeFileSync(done, '');
  const served = await Promise.all(held);
  t.is(
    served.reduce((sum, each) => sum + each),
    256,
  );
});

privileged('a user watches grants four times at most', async (t) => {
  const codes = await runAs({ uid: ALICE, socket: daemon.socket }, async ({ client }) => {
    const answers: string[] = [];
    for (let each = 0; each < 5; each++) {
      const watching = client.watchGrants();
      answers.push(
        await watching.next().then(
          () => 'watching',
          ({ code }: { code: string }) => code,
        ),
      );
    }
    return answers;
  });
  t.deepEqual(codes, [...Array.from({ length: 4 }, () => 'watching'), 'watches']);
});
