/** Privileges of the services, as judged by systemd, and settings of the units that have to agree with the daemon. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'ava';
import { skip } from '../e2e/daemon.js';
import { examples, noSystemd, SERVICES, SOCKETS, UNITS, values } from './units.js';

const reason = noSystemd();
if (reason !== null) console.log(`skipped: ${reason}`);
const withSystemd = reason === null ? test : test.skip;

/** Tenths: 15 is 1.5, of 10. */
const THRESHOLD = 15;

for (const service of SERVICES) {
  withSystemd(`systemd finds an exposure of at most 1.5 in ${service}`, (t) => {
    const run = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', `--threshold=${THRESHOLD}`, '--no-pager', join(UNITS, service)],
      { encoding: 'utf8' },
    );
    const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(run.stdout)?.[1]);
    t.true(exposure <= THRESHOLD / 10, run.stdout + run.stderr);
    t.is(run.status, 0, run.stdout);
  });
}

withSystemd('an unconfined service is above the threshold, so the check can fail', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'perfbroker-unit-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'perfbroker.service'), '[Service]\nExecStart=/usr/sbin/perfbrokerd\n');
  const run = spawnSync('systemd-analyze', [
    'security',
    '--offline=true',
    `--threshold=${THRESHOLD}`,
    '--no-pager',
    join(directory, 'perfbroker.service'),
  ]);
  t.not(run.status, 0);
});

/** A root with nothing in it but the units and what they execute. */
function stageRoot(): string {
  const root = mkdtempSync(join(tmpdir(), 'perfbroker-root-'));
  const system = join(root, 'usr/lib/systemd/system');
  for (const directory of ['usr/lib/systemd/system', 'etc']) mkdirSync(join(root, directory), { recursive: true });
  symlinkSync('usr/bin', join(root, 'bin'));
  for (const program of ['usr/bin/sh', 'usr/sbin/perfbrokerd', 'usr/libexec/perfbroker/dist/bin/perfbroker-bus']) {
    mkdirSync(dirname(join(root, program)), { recursive: true });
    writeFileSync(join(root, program), '#!/bin/true\n');
    chmodSync(join(root, program), 0o755);
  }
  for (const unit of [...SERVICES, ...SOCKETS]) copyFileSync(join(UNITS, unit), join(system, unit));
  // What every unit depends on by default, and what ours name.
  const others = {
    '[Unit]\n': ['sysinit.target', 'basic.target', 'shutdown.target', 'sockets.target', 'system.slice', '-.slice'],
    '[Service]\nExecStart=/bin/sh\n': ['dbus.service'],
    '[Socket]\nListenStream=/run/dbus/system_bus_socket\n': ['dbus.socket'],
  };
  for (const [text, units] of Object.entries(others)) for (const unit of units) writeFileSync(join(system, unit), text);
  return root;
}

withSystemd('systemd reads every unit, and every example on top of its unit, without a complaint', (t) => {
  const root = stageRoot();
  t.teardown(() => rmSync(root, { recursive: true }));
  const verify = (): string => {
    const run = spawnSync(
      'systemd-analyze',
      ['verify', '--man=no', '--recursive-errors=no', `--root=${root}`, ...SERVICES, ...SOCKETS],
      {
        encoding: 'utf8',
      },
    );
    return run.stdout + run.stderr + (run.status === 0 ? '' : `status ${run.status}`);
  };
  t.is(verify(), '');
  const dropIns = join(root, 'usr/lib/systemd/system/perfbroker.service.d');
  mkdirSync(dropIns);
  for (const name of examples()) copyFileSync(join(UNITS, 'examples', name), join(dropIns, name));
  t.is(verify(), '');
  writeFileSync(join(dropIns, '99.conf'), '[Service]\nNoSuchKey=yes\n');
  t.regex(verify(), /NoSuchKey/, 'the check can fail');
});

test('every example names the unit it is for, and clears what it replaces', (t) => {
  t.deepEqual(examples(), ['10-ceiling.conf', '20-tracer.conf']);
  for (const name of examples()) {
    const text = readFileSync(join(UNITS, 'examples', name), 'utf8');
    t.regex(text, /\/etc\/systemd\/system\/perfbroker\.service\.d\//);
    t.regex(text, /^ExecStart=\nExecStart=!\/usr\/sbin\/perfbrokerd --/m, 'a second ExecStart= would be an error');
  }
});

test('the capabilities are what perfbrokerd starts with, and the front end has none', (t) => {
  const set = (unit: string, key: string): string[] => values(unit, key).join(' ').split(' ').filter(Boolean).sort();
  const needed = ['CAP_PERFMON', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_SETUID', 'CAP_SYS_ADMIN'];
  t.deepEqual(set('perfbroker.service', 'CapabilityBoundingSet'), needed);
  t.deepEqual(values('perfbroker-bus.service', 'CapabilityBoundingSet'), ['']);
  t.deepEqual(values('perfbroker-bus.service', 'User'), ['perfbroker-bus']);
});

test('no unit sets whether the directory of both sockets is kept or removed', (t) => {
  for (const unit of [...SERVICES, ...SOCKETS]) {
    t.deepEqual(values(unit, 'RuntimeDirectory'), [], unit);
    t.deepEqual(values(unit, 'RemoveOnStop'), [], unit);
  }
  const tmpfiles = readFileSync(join(UNITS, 'perfbroker.tmpfiles.conf'), 'utf8');
  t.regex(tmpfiles, /^d \/run\/perfbroker 0755 root root -$/m);
  for (const socket of SOCKETS) t.regex(values(socket, 'ListenStream')[0] ?? '', /^\/run\/perfbroker\/\w+\.sock$/);
});

withSystemd('sysusers.d makes the users that perfbrokerd looks for, and is read without a complaint', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'perfbroker-sysusers-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'etc'));
  const run = spawnSync('systemd-sysusers', [`--root=${root}`, join(UNITS, 'perfbroker.sysusers.conf')], {
    encoding: 'utf8',
  });
  if (run.error !== undefined) return skip(t, 'systemd-sysusers is not installed');
  t.is(run.status, 0, run.stderr);
  t.notRegex(run.stderr, /not a valid|[Ii]gnoring/);
  const users = readFileSync(join(root, 'etc/passwd'), 'utf8');
  for (const user of ['perfbroker', 'perfbroker-opener', 'perfbroker-tracer', 'perfbroker-bus', 'perfbroker-collector'])
    t.regex(users, new RegExp(`^${user}:`, 'm'));
});

test("no limit that clients can use up for good stands in the opener's way, and journald drops no record", (t) => {
  // perf_mmap_close() takes a ring's pages off the account of the process that unmaps it last, not of the one that mapped it.
  t.deepEqual(values('perfbroker.service', 'LimitMEMLOCK'), ['infinity']);
  t.true(values('perfbroker.service', 'SystemCallFilter').some((filter) => /^~.*@memlock/.test(filter)));
  t.deepEqual(values('perfbroker.service', 'LogRateLimitIntervalSec'), ['0']);
});
