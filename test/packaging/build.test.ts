/** The sources on Debian 13, whose compiler and headers are newer than those of Debian 12. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ROOT } from '../e2e/daemon.js';
import { temporaryDirectory } from './deb.js';
import { inside, noDebian13, ROOTFS } from './debian13.js';

const reason = noDebian13();
if (reason !== null) console.log(`skipped: ${reason}`);
const building = reason === null ? test : test.skip;

building('everything native compiles there without a warning, with the headers of its own node', (t) => {
  t.timeout(10 * 60_000);
  const tree = temporaryDirectory();
  for (const folder of ['native', 'scripts', 'node_modules/node-addon-api'])
    cpSync(join(ROOT, folder), join(tree, folder), { recursive: true });
  mkdirSync(join(tree, 'dist'));
  const make = inside(ROOTFS, ['make', '-s', '-j4', '-C', '/mnt/native', 'all', '/mnt/build/native/native-test'], tree);
  t.is(make.status, 0, make.stderr);
  t.is(make.stderr, '');
  const version = inside(ROOTFS, ['/mnt/dist/bin/perfbrokerd', '--version'], tree);
  t.regex(version.stdout, /^perfbrokerd \d/, version.stderr);
  const addon = inside(ROOTFS, ['node', '-p', "typeof require('/mnt/dist/native/perfbroker.node').connectUnix"], tree);
  t.is(addon.stdout, 'function\n', addon.stderr);
});
