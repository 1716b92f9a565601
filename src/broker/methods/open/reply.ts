import { brokerError } from '../../../model/errors/error_table.js';
import type { Grants } from '../../grants/grants.js';
import { MAX_SLOTS } from '../../ipc/opener_protocol.js';
import type { Reply } from '../request/context.js';
import type { Granted } from './grant.js';

/**
 * Sends the fds in replies of at most 253 each. They stay the grant's.
 * @throws TargetGone when the grant has ended: the numbers of its fds can be those of other files by now
 */
export function sendSlots(
  grants: Pick<Grants, 'has'>,
  { id, slots, unstable, lease, downgraded }: Granted,
  reply: Pick<Reply, 'lend'>,
): void {
  for (let start = 0; start < slots.length; start += MAX_SLOTS) {
    if (!grants.has(id)) throw brokerError('TargetGone', 'exited', 'the grant ended before its fds were sent');
    const part = slots.slice(start, start + MAX_SLOTS);
    const parameters = {
      grant: id,
      slots: part.map(({ event, target, tid, cpu }, fd) => ({ fd, event, target, tid, cpu })),
      unstable,
      leaseSeconds: lease,
      ...(start === 0 && downgraded !== null ? { downgraded } : {}),
    };
    const fds = part.map((slot) => slot.fd);
    reply.lend(parameters, fds, start + MAX_SLOTS < slots.length);
  }
}
