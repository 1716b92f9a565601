import { readdirSync } from 'node:fs';
import type { EventGrant, EventOpener, GrantedEvent, OpenEvents } from '#dist/collector/event_opener.js';
import { onlineCpus } from '#dist/common/cpus.js';
import { encodeAttr } from '#dist/model/events/attr/attr.js';
import { native } from '#dist/native.js';

const PERF_FLAG_FD_CLOEXEC = 8;

/** Opens events without a broker, as root may: the collector does not know the difference. */
export const directOpener: EventOpener = {
  open({ targets, events, cpus }: OpenEvents): Promise<EventGrant> {
    const opened: GrantedEvent[] = [];
    for (const [target, selector] of targets.entries()) {
      const places =
        'pid' in selector
          ? { tids: 'tid' in selector ? [selector.tid] : threadsOf(selector.pid), cpus: cpus ?? [-1] }
          : { tids: [-1], cpus: cpus ?? onlineCpus() };
      for (const tid of places.tids)
        for (const cpu of places.cpus)
          for (const [event, spec] of events.entries()) {
            const attr = encodeAttr(spec, {}, { disabled: true });
            const fd = native.perfEventOpen(attr, tid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
            opened.push({
              fd,
              event,
              target,
              tid,
              cpu,
              enable: () => {
                native.perfEnable(fd);
              },
              disable: () => {
                native.perfDisable(fd);
              },
              id: () => native.perfId(fd),
              read: () => native.perfRead(fd),
            });
          }
    }
    let closed = false;
    const close = (): Promise<void> => {
      if (!closed) for (const { fd } of opened) native.close(fd);
      closed = true;
      return Promise.resolve();
    };
    return Promise.resolve({
      id: 'direct',
      events: opened,
      unstable: false,
      leaseSeconds: 0,
      mapped: () => Promise.resolve(),
      isLive: () => Promise.resolve(true),
      isConnected: () => true,
      close,
      [Symbol.asyncDispose]: close,
    });
  },
};

function threadsOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).map(Number);
}
