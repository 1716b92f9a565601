import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  ALL_CAPABILITIES,
  CAPABILITY_NAMES,
  capabilityBits,
  capabilityNames,
  nearestCapability,
} from '#dist/model/identity/capabilities.js';

test('names and numbers are those of linux/capability.h', (t) => {
  const header = readFileSync('/usr/include/linux/capability.h', 'utf8');
  const defined = [...header.matchAll(/^#define (CAP_[A-Z_]+)\s+(\d+)$/gm)].filter(
    ([, name]) => name !== 'CAP_LAST_CAP',
  );
  t.true(defined.length >= 38);
  const names: readonly string[] = CAPABILITY_NAMES;
  for (const [, name, number] of defined) t.is(names[Number(number)], name);
});

test('a name is accepted with or without CAP_, in either case', (t) => {
  for (const name of ['CAP_PERFMON', 'cap_perfmon', 'perfmon', 'PERFMON']) t.is(capabilityBits(name), 1n << 38n);
  t.is(capabilityBits('all'), ALL_CAPABILITIES);
});

test('an unknown name has no bit, and the nearest name is suggested', (t) => {
  for (const name of ['', 'CAP_', 'CAP_CAP_PERFMON', '38', 'CAP_PERFMO', '__proto__'])
    t.is(capabilityBits(name), undefined);
  t.is(nearestCapability('perfmo'), 'CAP_PERFMON');
});

test('bits become names in their order, unknown ones by number', (t) => {
  t.deepEqual(capabilityNames((1n << 38n) | (1n << 21n) | (1n << 60n)), ['CAP_SYS_ADMIN', 'CAP_PERFMON', 'CAP_60']);
  t.deepEqual(capabilityNames(0n), []);
});
