import {
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { OutputFile, OutputFileError } from '#dist/formats/output_file.js';
import { writeFully } from '#dist/formats/write_fully.js';

function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-output-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

test('a file gets its name when it is placed, and keeps an older one as .old', (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'out');
  writeFileSync(path, 'older');
  {
    using file = OutputFile.create(path);
    writeFully(file.fd, Buffer.from('newer'));
    t.is(readFileSync(path, 'utf8'), 'older');
    file.place();
    file.place();
  }
  t.is(readFileSync(path, 'utf8'), 'newer');
  t.is(readFileSync(`${path}.old`, 'utf8'), 'older');
  t.deepEqual(readdirSync(directory).sort(), ['out', 'out.old']);
});

test('a file that is not placed leaves nothing behind, and is closed', (t) => {
  const directory = temporaryDirectory(t);
  let fd: number;
  {
    using file = OutputFile.create(join(directory, 'out'));
    fd = file.fd;
    t.is(fstatSync(fd).mode & 0o777, 0o600);
  }
  t.false(isOpen(fd));
  t.deepEqual(readdirSync(directory), []);
});

test('an fd that was taken belongs to its taker', (t) => {
  const directory = temporaryDirectory(t);
  let fd: number;
  {
    using file = OutputFile.create(join(directory, 'out'));
    fd = file.takeFd();
    file.place();
  }
  t.true(isOpen(fd));
  // An adopted file has its name already, and is closed with its scope.
  {
    using adopted = OutputFile.adopt(fd);
    adopted.place();
    adopted.discard();
  }
  t.false(isOpen(fd));
  t.deepEqual(readdirSync(directory), ['out']);
});

test('a symbolic link, a directory and a device are not replaced', (t) => {
  const directory = temporaryDirectory(t);
  symlinkSync('nowhere', join(directory, 'link'));
  mkdirSync(join(directory, 'taken.old'));
  writeFileSync(join(directory, 'taken'), 'older');
  for (const path of [join(directory, 'link'), directory, '/dev/null', join(directory, 'taken')])
    t.throws(() => OutputFile.create(path), { instanceOf: OutputFileError }, path);
  const error = t.throws(() => OutputFile.create(join(directory, 'no', 'file')), { code: 'ENOENT' });
  t.true(error.message.includes(join(directory, 'no', 'file')), 'the temporary name is not shown');
});

test('a link that appears after the check is not followed when the file is placed', (t) => {
  const directory = temporaryDirectory(t);
  const path = join(directory, 'out');
  using file = OutputFile.create(path);
  symlinkSync('target', path);
  t.throws(() => file.place(), { instanceOf: OutputFileError });
});
