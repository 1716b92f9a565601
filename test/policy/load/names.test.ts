import test from 'ava';
import { systemNames } from '#dist/policy/load/names.js';

test('root is uid 0 and gid 0 on every system', (t) => {
  t.is(systemNames.user('root'), 0);
  t.is(systemNames.group('root'), 0);
});

for (const name of ['no-such-name-9', '', '0', 'root\0x']) {
  test(`${JSON.stringify(name)} names no user or group: a number is not a name`, (t) => {
    t.is(systemNames.user(name), undefined);
    t.is(systemNames.group(name), undefined);
  });
}
