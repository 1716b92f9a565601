import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { unprivilegedProof } from '#dist/broker/lifecycle/proof.js';
import { statusFields } from '#dist/common/proc_status.js';

const CLEAN = {
  Uid: '60910\t60910\t60910\t60910',
  Gid: '60910\t60910\t60910\t60910',
  CapInh: '0000000000000000',
  CapPrm: '0000000000000000',
  CapEff: '0000000000000000',
  CapBnd: '000001ffffffffff',
  CapAmb: '0000000000000000',
  NoNewPrivs: '1',
  Seccomp: '2',
};

function proofOf(...threads: Partial<typeof CLEAN>[]): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-proof-'));
  try {
    for (const [index, thread] of threads.entries()) {
      mkdirSync(join(directory, String(index + 10)));
      const lines = Object.entries({ ...CLEAN, ...thread }).map(([name, value]) => `${name}:\t${value}`);
      writeFileSync(join(directory, String(index + 10), 'status'), `Name:\tnode\n${lines.join('\n')}\n`);
    }
    return unprivilegedProof(directory).map(({ tid, what }) => `${tid}: ${what}`);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('threads without privileges are the proof', (t) => {
  t.deepEqual(proofOf({}, {}, {}), []);
});

const EXCESSES: [string, Partial<typeof CLEAN>, RegExp][] = [
  ['a permitted capability', { CapPrm: '0000004000000000' }, /^11: CapPrm is 0000004000000000/],
  ['an effective capability', { CapEff: '0000000000200000' }, /CapEff/],
  ['an inheritable capability', { CapInh: '0000000000000001' }, /CapInh/],
  ['an ambient capability', { CapAmb: '0000000000000001' }, /CapAmb/],
  ['a saved uid of root', { Uid: '1\t1\t0\t1' }, /Uid/],
  ['a gid of root', { Gid: '1\t1\t1\t0' }, /Gid/],
  ['no no_new_privs', { NoNewPrivs: '0' }, /no_new_privs/],
  ['no seccomp filter', { Seccomp: '0' }, /seccomp/],
];
for (const [what, fields, expected] of EXCESSES) {
  test(`one thread with ${what} breaks the proof and is named`, (t) => {
    const excess = proofOf({}, fields, {});
    t.is(excess.length, 1, excess.join('\n'));
    t.regex(excess[0]!, expected);
    t.regex(excess[0]!, /^11: /);
  });
}

test('a thread whose status belongs to its own uid, so that it is dumpable, breaks the proof', (t) => {
  const own = process.geteuid!();
  const excess = proofOf({}, { Uid: `1\t${own}\t1\t1` });
  t.true(excess.includes('11: it is dumpable'), excess.join('\n'));
});

test('a status without its fields proves nothing', (t) => {
  t.true(proofOf({ CapPrm: '', NoNewPrivs: '' }).length >= 2);
  t.is(statusFields('Name:\ta: b\nUid:\t1\n').get('Name'), 'a: b');
});

test('a process without threads proves nothing', (t) => {
  t.is(proofOf().length, 1);
});
