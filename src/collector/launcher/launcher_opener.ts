import { PAGE_BYTES } from '../../common/page.js';
import { OpenedEvent } from '../../client/opened_event.js';
import { brokerError } from '../../model/errors/error_table.js';
import type { BrokerError } from '../../model/errors/errors.js';
import type { EventSpec } from '../../model/event.js';
import { eventFields } from '../../model/events/event_fields.js';
import type { EventFields } from '../../model/events/event_fields.js';
import { eventName } from '../../model/events/syntax/event_name.js';
import { kernelRefused } from '../../model/errors/kernel_refused.js';
import type { EventGrant, EventOpener, OpenEvents } from '../event_opener.js';
import type { Launcher } from './launcher.js';
import { MAX_EVENTS, MAX_SLOTS } from './launcher_protocol.js';
import { paranoidLevel } from '../../common/paranoid.js';
import { pmuType } from '../host/pmu_sysfs.js';

const ENOENT = 2;
const EACCES = 13;

/** Has the launcher open events on itself: without a broker, where it holds the capability. */
export class LauncherOpener implements EventOpener {
  readonly #launcher: Pick<Launcher, 'pid' | 'call'>;

  constructor(launcher: Pick<Launcher, 'pid' | 'call'>) {
    this.#launcher = launcher;
  }

  /** @throws BrokerError as the broker would: InvalidEvent, KernelRefused; LauncherGone */
  async open({ events: specs, cpus = [-1], ringBytes = 0 }: OpenEvents): Promise<EventGrant> {
    if (specs.length > MAX_EVENTS)
      throw brokerError(
        'InvalidEvent',
        'too-many-events',
        `${specs.length} events exceed the maximum of ${MAX_EVENTS}`,
      );
    const events: EventFields[] = [];
    for (const spec of specs) events.push(eventFields(spec, await this.#resolve(spec)));
    const leaders = specs.map((spec) => spec.leader);
    const opened: OpenedEvent[] = [];
    const close = (): Promise<void> => {
      for (const event of opened) event.close();
      return Promise.resolve();
    };
    try {
      const cpusPerCall = Math.floor(MAX_SLOTS / events.length);
      for (let start = 0; start < cpus.length; start += cpusPerCall) {
        const some = cpus.slice(start, start + cpusPerCall);
        const { reply, fds } = await this.#launcher.call({
          type: 'openEvents',
          events,
          leaders,
          cpus: some,
          ringPages: ringBytes / PAGE_BYTES,
        });
        for (const [index, fd] of fds.entries()) {
          const cpu = some[Math.floor(index / events.length)] ?? -1;
          opened.push(new OpenedEvent(fd, { event: index % events.length, target: 0, tid: this.#launcher.pid, cpu }));
        }
        const refused = specs[reply.failed];
        if (reply.error !== 0) throw refusal(reply.error, refused);
      }
    } catch (error) {
      await close();
      throw error;
    }
    return {
      id: 'direct',
      events: opened,
      unstable: false,
      leaseSeconds: 0,
      mapped: () => Promise.resolve(),
      isLive: () => Promise.resolve(true),
      isConnected: () => true,
      close,
      [Symbol.asyncDispose]: close,
    };
  }

  async #resolve({ source }: EventSpec): Promise<{ tracepointId?: number; pmuType?: number }> {
    if (source.kind === 'pmu' && typeof source.pmu === 'string') return { pmuType: pmuType(source.pmu) };
    if (source.kind !== 'tracepoint' || 'id' in source) return {};
    // This process may not read tracefs.
    const { reply } = await this.#launcher.call({ type: 'tracepoint', name: source.name });
    if (reply.error === 0) return { tracepointId: reply.value };
    const why = reply.error === ENOENT ? '' : ` (errno ${reply.error})`;
    throw brokerError('InvalidEvent', 'unknown-tracepoint', `there is no tracepoint ${source.name} here${why}`);
  }
}

function refusal(errno: number, event: EventSpec | undefined): BrokerError {
  const what = event === undefined ? 'the command' : eventName(event);
  if (errno !== EACCES) return kernelRefused(errno, { what });
  return brokerError('KernelRefused', 'EACCES', `${what}: perf_event_open refused with EACCES`, {
    errno,
    cause: `Paranoid level ${paranoidLevel()}: this kernel requires more than the capability that this process holds.`,
    remedy: 'Start it with CAP_SYS_ADMIN (Debian and Ubuntu require that at level 3), or start the broker.',
  });
}
