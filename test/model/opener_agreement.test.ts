/**
 * The model against the opener's own C++: a request that the opener finds malformed ends the daemon, so that no event
 * that the model lets through may be; and both must see the same classes and build the same attr.
 */
import { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import { encodeOpen, NO_LEADER } from '#dist/broker/ipc/opener_protocol.js';
import { encodeAttr } from '#dist/model/events/attr/attr.js';
import { eventClasses } from '#dist/model/events/classify.js';
import { EVENT_CLASSES, EXCLUSIONS, type EventSpec } from '#dist/model/event.js';
import { eventFields } from '#dist/model/events/event_fields.js';
import { compileTools } from '../tools/compile.js';
import { eventSpec, namedSource, resolvedSource } from './event_arbitrary.js';

const RESOLVED = { pmuType: 9, tracepointId: 316 };
const SLOT = { tid: 1, cpu: -1, event: 0, leader: NO_LEADER, premap: false };
const IDENTITY = {
  pid: 1,
  startTime: 1n,
  uids: [0, 0, 0],
  gids: [0, 0, 0],
  permitted: 0n,
  dumpable: true,
  sameUserNamespace: true,
  executable: '/bin/true',
  cgroup: '/',
} as const;

const specs = fc.sample(eventSpec(fc.oneof(resolvedSource, namedSource)), { numRuns: 800, seed: 20 });

function checked(): readonly { readonly wrong: string; readonly classes: number; readonly attr: Buffer }[] {
  const tools = compileTools({ cxx: 'check_requests', with: ['core/perf_event.cc', 'opener/check.cc'] });
  try {
    const requests = specs.map((spec) =>
      encodeOpen({
        serial: 1,
        target: 'process',
        expected: IDENTITY,
        events: [eventFields(spec, RESOLVED)],
        slots: [SLOT],
        ringPages: 0,
      }),
    );
    const output = execFileSync(tools.path('check_requests'), {
      input: Buffer.concat(requests),
      encoding: 'latin1',
      maxBuffer: 1 << 24,
    });
    return output
      .trimEnd()
      .split('\n')
      .map((line) => {
        const [wrong = '', classes, attr = ''] = line.split('\t');
        return { wrong, classes: Number(classes), attr: Buffer.from(attr, 'hex') };
      });
  } finally {
    tools.remove();
  }
}
const results = checked();

function eachResult(check: (spec: EventSpec, result: (typeof results)[number]) => void): void {
  for (const [index, spec] of specs.entries()) {
    const result = results[index];
    if (result === undefined) throw new Error(`no answer for request ${index}`);
    check(spec, result);
  }
}

test('no event that the model lets through is malformed to the opener', (t) => {
  eachResult((spec, { wrong }) => t.is(wrong, 'ok', Buffer.from(encodeAttr(spec, RESOLVED)).toString('hex')));
});

test('the opener sees the same classes', (t) => {
  eachResult((spec, { classes }) =>
    t.deepEqual(
      EVENT_CLASSES.filter((_, bit) => (classes >> bit) & 1),
      eventClasses(spec),
    ),
  );
});

test("the opener's attr is the requested one, disabled, and without kernel callchains where the kernel is excluded", (t) => {
  eachResult((spec, { attr }) => {
    const excluded = EXCLUSIONS.filter(
      (name) => spec.exclude.includes(name) || (name === 'callchain_kernel' && spec.exclude.includes('kernel')),
    );
    const expected = Buffer.alloc(attr.length);
    expected.set(encodeAttr({ ...spec, exclude: excluded }, RESOLVED, { disabled: true }));
    t.deepEqual(attr, expected);
  });
});
