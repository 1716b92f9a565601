/** Capabilities by name and number; capabilities(7), include/uapi/linux/capability.h. */
import { nearest } from '../../common/nearest.js';

/** In the order of their numbers. */
export const CAPABILITY_NAMES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;
export type CapabilityName = (typeof CAPABILITY_NAMES)[number];

/** All 64 bits, including those that only a newer kernel names. */
export const ALL_CAPABILITIES = 0xffff_ffff_ffff_ffffn;

/** Capabilities for profiling, which a profiled process does not need. */
export const PROFILING_CAPABILITIES: readonly CapabilityName[] = ['CAP_PERFMON', 'CAP_SYS_ADMIN'];

/** Bit of `CAP_PERFMON`, `cap_perfmon` or `perfmon`; every bit for `all`; undefined for anything else. */
export function capabilityBits(name: string): bigint | undefined {
  const upper = name.toUpperCase();
  if (upper === 'ALL') return ALL_CAPABILITIES;
  const number = CAPABILITY_NAMES.findIndex((known) => known === upper || known === `CAP_${upper}`);
  return number < 0 ? undefined : 1n << BigInt(number);
}

/** Capability that is most similar to a name that {@link capabilityBits} does not know. */
export function nearestCapability(name: string): string | undefined {
  const upper = name.toUpperCase();
  return nearest(upper.startsWith('CAP_') ? upper : `CAP_${upper}`, CAPABILITY_NAMES);
}

/** Names of the bits that are set, in their order; bits without a name by number: `CAP_41`. */
export function capabilityNames(bits: bigint): string[] {
  const names: string[] = [];
  for (let number = 0; number < 64; number++)
    if (((bits >> BigInt(number)) & 1n) === 1n) names.push(CAPABILITY_NAMES[number] ?? `CAP_${number}`);
  return names;
}
