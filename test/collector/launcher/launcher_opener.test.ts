import { openSync, readdirSync } from 'node:fs';
import test from 'ava';
import { recordingEvents } from '#dist/collector/event_defaults.js';
import type { LauncherAnswer } from '#dist/collector/launcher/launcher.js';
import { LauncherOpener } from '#dist/collector/launcher/launcher_opener.js';
import type { LauncherRequest } from '#dist/collector/launcher/launcher_protocol.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';

type Order = Extract<LauncherRequest, { type: 'openEvents' }>;

/** Answers as the launcher does, with fds of /dev/null; `errors` by call. */
function fakeLauncher(errors: readonly number[] = []): {
  readonly orders: Order[];
  readonly pid: number;
  readonly call: (request: LauncherRequest) => Promise<LauncherAnswer>;
} {
  const orders: Order[] = [];
  return {
    orders,
    pid: 4711,
    call: (request) => {
      const order = request as Order;
      const error = errors[orders.length] ?? 0;
      orders.push(order);
      const count = error === 0 ? order.events.length * order.cpus.length : 0;
      const fds = Array.from({ length: count }, () => openSync('/dev/null', 'r'));
      return Promise.resolve({ reply: { error, value: 0, failed: 1, fdCount: count }, fds });
    },
  };
}

const style = { callGraph: false, inherit: true, enableOnExec: true };
const events = recordingEvents(parseEvents('cpu-clock:u,page-faults:u,task-clock:u'), style);
const cpus = Array.from({ length: 100 }, (_, cpu) => cpu);
const openFds = (): number => readdirSync('/proc/self/fd').length;

test.serial('more fds than fit in a message are requested in several messages, cpu by cpu', async (t) => {
  const launcher = fakeLauncher();
  const grant = await new LauncherOpener(launcher).open({ targets: [], events, cpus, ringBytes: 1 << 19 });
  t.deepEqual(
    launcher.orders.map((order) => order.cpus.length),
    [84, 16],
  );
  t.deepEqual(
    launcher.orders.map((order) => order.ringPages),
    [128, 128],
  );
  t.is(grant.events.length, 300);
  t.deepEqual(
    grant.events.slice(250, 254).map(({ event, cpu, tid }) => [event, cpu, tid]),
    [
      [1, 83, 4711],
      [2, 83, 4711],
      [0, 84, 4711],
      [1, 84, 4711],
    ],
  );
  await grant.close();
});

test.serial('a refusal closes the fds already received, and names event, level and capability', async (t) => {
  const before = openFds();
  const opening = new LauncherOpener(fakeLauncher([0, 13])).open({ targets: [], events, cpus });
  const error = await t.throwsAsync(opening, { instanceOf: BrokerError });
  t.regex(error.message, /^page-faults:u: .*EACCES/);
  t.regex(error.explanation, /^Paranoid level -?\d/);
  t.regex(error.remedy, /CAP_SYS_ADMIN/);
  t.is(openFds(), before);
  await t.throwsAsync(new LauncherOpener(fakeLauncher([2])).open({ targets: [], events }), { message: /ENOENT/ });
});

test.serial('more events than fit in a request are rejected before anything is sent', async (t) => {
  const launcher = fakeLauncher();
  const many = Array.from({ length: 17 }, () => events[0]!);
  await t.throwsAsync(new LauncherOpener(launcher).open({ targets: [], events: many }), { message: /maximum of 16/ });
  t.deepEqual(launcher.orders, []);
});
