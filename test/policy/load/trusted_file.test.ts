import { chmodSync, chownSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { PolicyError } from '#dist/policy/error.js';
import { readTrusted } from '#dist/policy/load/trusted_file.js';
import { directory, rootTest, write } from '../files.js';

test('a file that does not exist is not an error', (t) => {
  t.is(readTrusted('/nonexistent/policy.toml', 'policy.toml', 'refuse'), undefined);
});

rootTest('a file of root is read, and named as the caller names it', (t) => {
  const path = write(directory(t), 'policy.toml', 'a = 1\n');
  t.deepEqual(readTrusted(path, 'name', 'refuse'), { text: 'a = 1\n', distrust: [] });
  chownSync(path, 1000, 0);
  t.throws(() => readTrusted(path, 'name', 'refuse'), {
    instanceOf: PolicyError,
    message: /^name: .*belongs to uid 1000/,
  });
});

rootTest("with 'tell' an untrusted file is still read, with every reason", (t) => {
  const root = directory(t);
  const path = write(root, 'policy.toml', 'a = 1\n');
  chownSync(path, 1000, 0);
  chmodSync(path, 0o666);
  symlinkSync(path, join(root, 'link.toml'));
  const read = readTrusted(join(root, 'link.toml'), 'link.toml', 'tell');
  t.is(read?.text, 'a = 1\n');
  t.deepEqual(
    read?.distrust.map(({ message }) => message),
    [
      'is a symbolic link',
      'the file belongs to uid 1000, not to root',
      'other users than the owner may write to the file (mode 0666)',
    ],
  );
});

rootTest('bytes that are not UTF-8 are refused', (t) => {
  const path = write(directory(t), 'policy.toml', Uint8Array.of(0xff, 0xfe));
  t.throws(() => readTrusted(path, path, 'refuse'), { message: /is not UTF-8/ });
});
