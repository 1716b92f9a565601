import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { ROOT, skip } from '../e2e/daemon.js';
import { MAN_PAGES } from './documents.js';

for (const { path } of MAN_PAGES) {
  test(`${path} is formatted without a warning`, (t) => {
    const run = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z', join(ROOT, path)], { encoding: 'utf8' });
    if (run.error !== undefined || /cannot load 'DESC'|can't open macro/.test(run.stderr))
      return skip(t, 'groff is not installed');
    t.is(run.stderr, '');
    t.is(run.status, 0);
  });
}

test('there are pages for both programs and for the policy', (t) => {
  t.deepEqual(MAN_PAGES.map(({ path }) => path).sort(), [
    'docs/man/perfbroker.1',
    'docs/man/perfbroker.policy.5',
    'docs/man/perfbrokerd.8',
  ]);
});
