/**
 * Rules for every event, in JSON or in bytes. The ranges are the kernel's (perf_copy_attr and perf_event_open in
 * kernel/events/core.c); errors here name the field, where the kernel has EINVAL. The kernel checks rules that differ between its
 * versions (inherit with group or sample reads) or between PMUs.
 */
import { quote } from '../../common/quote.js';
import { brokerError, type ErrorCode } from '../errors/error_table.js';
import type { EventSource, EventSpec } from '../event.js';
import { FIRST_DYNAMIC_TYPE } from './event_fields.js';

export const MAX_EVENTS = 16; // kMaxEvents in native/protocol/opener.h
export const MAX_U64: bigint = (1n << 64n) - 1n;
export const MAX_U32 = 0xffff_ffff;
/** Highest number of a PMU, an int in the kernel. */
export const MAX_PMU_TYPE = 0x7fff_ffff;
/** The kernel refuses periods with the top bit set. */
const MAX_PERIOD: bigint = (1n << 63n) - 1n;
/** sample_stack_user is below USHRT_MAX and a multiple of 8. */
export const MAX_STACK_USER = 65_528;
export const MAX_STACK_FRAMES = 0xffff;
export const MAX_PRECISE_IP = 3;
/** HW_BREAKPOINT_LEN_8. */
export const MAX_BREAKPOINT_LENGTH = 8;

/** Subsystem and event as the kernel names them; anything else could leave tracefs' events directory. */
const TRACEPOINT_NAME = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}:[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/;
/** A directory below /sys/bus/event_source/devices. */
const PMU_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
const FIXED_PMUS = ['software', 'tracepoint', 'breakpoint'];
const POINTER_PMUS = ['kprobe', 'uprobe'];
/** PMUs that write a trace into an AUX area even without sampling: none of their events only counts. */
const TRACING_PMUS = /^(intel_pt|intel_bts|arm_spe|cs_etm|hisi_ptt|arm_trbe)/;

/** Reason why the broker opens no events of a PMU; null when it does. */
export function forbiddenPmu(name: string): string | null {
  if (POINTER_PMUS.includes(name)) return `the PMU ${name} takes pointers`;
  return TRACING_PMUS.test(name) ? `the PMU ${name} traces` : null;
}

/** @throws BrokerError InvalidEvent `code` */
export function refuse(code: ErrorCode<'InvalidEvent'>, message: string): never {
  throw brokerError('InvalidEvent', code, message);
}

/** Text of a request, for a message. */
export function quoted(text: string): string {
  return quote(text, 64);
}

/** @throws BrokerError InvalidEvent */
export function checkEvent(spec: EventSpec): void {
  checkSource(spec.source);
  checkSampling(spec);
  checkSampleType(spec);
  if (!Number.isInteger(spec.preciseIp) || spec.preciseIp < 0 || spec.preciseIp > MAX_PRECISE_IP)
    refuse('bad-value', `preciseIp ${spec.preciseIp} is not 0 to ${MAX_PRECISE_IP}`);
  if (spec.inheritThread && !spec.inherit) refuse('conflict', 'inheritThread needs inherit');
  if (spec.removeOnExec && spec.enableOnExec) refuse('conflict', 'removeOnExec and enableOnExec exclude each other');
  if (spec.leader !== undefined && (spec.pinned || spec.exclusive))
    refuse('conflict', 'only the leader of a group can be pinned or exclusive');
}

function checkSource(source: EventSource): void {
  if (source.kind === 'tracepoint' && 'name' in source && !TRACEPOINT_NAME.test(source.name))
    refuse('bad-value', `${quoted(source.name)} is not of the form subsystem:event`);
  if (source.kind === 'pmu') checkPmu(source.pmu);
  if (source.kind !== 'breakpoint') return;
  if (!Number.isInteger(source.length) || source.length < 1 || source.length > MAX_BREAKPOINT_LENGTH)
    refuse('bad-value', `breakpoint length ${source.length} is not 1 to ${MAX_BREAKPOINT_LENGTH}`);
  if (source.address + BigInt(source.length) - 1n > MAX_U64)
    refuse('bad-value', 'the breakpoint reaches beyond the address space');
}

function checkPmu(pmu: string | number): void {
  if (typeof pmu === 'number') {
    if (pmu < FIRST_DYNAMIC_TYPE || pmu > MAX_PMU_TYPE)
      refuse('bad-value', `pmuType ${pmu} is not the number of a dynamic PMU (${FIRST_DYNAMIC_TYPE} and up)`);
    return;
  }
  if (!PMU_NAME.test(pmu)) refuse('bad-value', `${quoted(pmu)} is not the name of a PMU`);
  const forbidden = forbiddenPmu(pmu);
  if (forbidden !== null) refuse('forbidden-pmu', `${forbidden}, so the broker opens no events of it`);
  if (FIXED_PMUS.includes(pmu)) refuse('bad-value', `${pmu} is a kind of source, not a PMU with a config`);
}

function checkSampling({ sampling, stackUser = 0, maxStack = 0 }: EventSpec): void {
  if (sampling !== undefined && 'period' in sampling && (sampling.period < 1n || sampling.period > MAX_PERIOD))
    refuse('bad-value', `period ${sampling.period} is not 1 to 2^63-1`);
  if (sampling !== undefined && 'frequency' in sampling) {
    const { frequency } = sampling;
    if (!Number.isInteger(frequency) || frequency < 1 || frequency > MAX_U32)
      refuse('bad-value', `frequency ${frequency} is not 1 to 2^32-1 Hz`);
  }
  if (!Number.isInteger(stackUser) || stackUser < 0 || stackUser > MAX_STACK_USER || stackUser % 8 !== 0)
    refuse('bad-value', `stackUser ${stackUser} is not a multiple of 8 up to ${MAX_STACK_USER}`);
  if (!Number.isInteger(maxStack) || maxStack < 0 || maxStack > MAX_STACK_FRAMES)
    refuse('bad-value', `maxStack ${maxStack} is not 0 to ${MAX_STACK_FRAMES}`);
}

function checkSampleType({ sampleType, branch, regsUser = 0n, regsIntr = 0n }: EventSpec): void {
  if (sampleType.includes('weight') && sampleType.includes('weight_struct'))
    refuse('conflict', 'sampleType holds weight and weight_struct: they exclude each other');
  if (sampleType.includes('regs_user') && regsUser === 0n) refuse('conflict', 'sampleType regs_user needs regsUser');
  if (sampleType.includes('regs_intr') && regsIntr === 0n) refuse('conflict', 'sampleType regs_intr needs regsIntr');
  // perf_copy_attr: "at least one branch bit must be set" besides the privilege levels.
  if (sampleType.includes('branch_stack') && branch.every((name) => ['user', 'kernel', 'hv'].includes(name)))
    refuse('conflict', 'sampleType branch_stack needs a branch filter besides user, kernel and hv');
}
