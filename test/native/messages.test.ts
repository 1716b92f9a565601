import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import test from 'ava';

test('src/common/native_messages.ts matches the messages as the C++ compiler lays them out', (t) => {
  const generated = execFileSync('make', ['-s', '-C', 'native', 'messages'], { encoding: 'utf8' });
  t.is(readFileSync('src/common/native_messages.ts', 'utf8'), generated);
});
