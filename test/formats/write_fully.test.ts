import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { writeFully } from '#dist/formats/write_fully.js';

test('bytes are appended, or written at a position', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-write-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'file');
  const fd = openSync(path, 'w');
  writeFully(fd, Buffer.from('hello'));
  writeFully(fd, Buffer.from('J'), 0);
  writeFully(fd, Buffer.from(' world'));
  closeSync(fd);
  t.is(readFileSync(path, 'utf8'), 'Jello world');
});

test('an error of the system is thrown', (t) => {
  const fd = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(fd));
  t.throws(() => writeFully(fd, Buffer.from('x')), { code: 'ENOSPC' });
});
