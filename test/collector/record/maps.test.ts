import test from 'ava';
import { parseMaps } from '#dist/collector/record/maps.js';

test('a line of maps becomes a mapping, with spaces and newlines in its path', (t) => {
  const [first, second] = parseMaps(
    '7f00-7f80 r-xp 00001000 08:01 123                        /tmp/a b\\012c (deleted)\n' +
      'garbage\n8000-9000 rw-s 00000000 00:00 0 \n',
  );
  t.deepEqual(first, {
    start: 0x7f00n,
    end: 0x7f80n,
    offset: 0x1000n,
    protection: 5,
    shared: false,
    major: 8,
    minor: 1,
    inode: 123n,
    path: '/tmp/a b\nc (deleted)',
  });
  t.like(second, { protection: 3, shared: true, path: '' });
});
