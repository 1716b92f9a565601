import test from 'ava';
import { isWithinCgroup, matchesUnit, unitOfCgroup } from '#dist/policy/decide/cgroup.js';

const units: [string, string | undefined][] = [
  ['/system.slice/nginx.service', 'nginx.service'],
  ['/system.slice/nginx.service/worker/a.service', 'nginx.service'],
  ['/system.slice/system-getty.slice/getty@tty1.service', 'getty@tty1.service'],
  ['/user.slice/user-1000.slice/session-1.scope', 'session-1.scope'],
  ['/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service', 'user@1000.service'],
  ['/system.slice/_cpu.service', 'cpu.service'],
  ['/init.scope', 'init.scope'],
  ['/docker/0123/nginx.service', undefined],
  ['/system.slice', undefined],
  ['/', undefined],
  ['', undefined],
  ['/../system.slice/nginx.service', undefined],
];
for (const [path, unit] of units) {
  test(`the unit of "${path}" is ${unit ?? 'not known'}`, (t) => {
    t.is(unitOfCgroup(path), unit);
  });
}

test('a cgroup lies within itself and what is above it, by whole components', (t) => {
  t.true(isWithinCgroup('/a/b', '/a'));
  t.true(isWithinCgroup('/a', '/a'));
  t.true(isWithinCgroup('/a', '/'));
  t.true(isWithinCgroup('/', '/'));
  t.false(isWithinCgroup('/ab', '/a'));
  t.false(isWithinCgroup('/', '/a'));
  t.false(isWithinCgroup('', '/'));
  t.false(isWithinCgroup('/a/../b', '/a'));
});

test('a unit matches by its name, or by the beginning before a star', (t) => {
  t.true(matchesUnit('worker@7.service', 'worker@*'));
  t.true(matchesUnit('nginx.service', 'nginx.service'));
  t.false(matchesUnit('nginx.service', 'nginx'));
  t.false(matchesUnit(undefined, 'w*'));
});
