import type { EventGrant, EventOpener, GrantedEvent, OpenEvents } from '#dist/collector/event_opener.js';

export interface FakeGrant extends EventGrant {
  readonly log: string[];
}

/** A grant whose events give the words that `words` returns, and that notes what is done to it. */
export function fakeGrant(
  slots: readonly { readonly event: number; readonly words: () => readonly bigint[] }[],
  leaseSeconds = 0,
): FakeGrant {
  const log: string[] = [];
  const close = (): Promise<void> => {
    log.push('close');
    return Promise.resolve();
  };
  const events = slots.map(({ event, words }, index): GrantedEvent => ({
    fd: 1000 + index,
    event,
    target: 0,
    tid: -1,
    cpu: index,
    enable: () => log.push(`enable ${index}`),
    disable: () => log.push(`disable ${index}`),
    id: () => BigInt(index),
    read: () => new BigUint64Array(words()),
  }));
  return {
    id: 'fake',
    events,
    unstable: false,
    leaseSeconds,
    mapped: () => Promise.resolve(),
    isLive: () => Promise.resolve(true),
    isConnected: () => true,
    close,
    [Symbol.asyncDispose]: close,
    log,
  };
}

export function fakeOpener(grant: EventGrant): EventOpener & { readonly requests: readonly OpenEvents[] } {
  const requests: OpenEvents[] = [];
  return {
    requests,
    open: (request) => {
      requests.push(request);
      return Promise.resolve(grant);
    },
  };
}
