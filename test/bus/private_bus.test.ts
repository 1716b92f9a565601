import { existsSync, readFileSync } from 'node:fs';
import test from 'ava';
import { noPrivateBus, startPrivateBus, USERS } from './private_bus.js';
import { skip } from '../e2e/daemon.js';

const missing = noPrivateBus();

test('a private bus runs polkit, knows its users and leaves nothing behind', async (t) => {
  if (missing !== null) return skip(t, missing);
  const outer = readFileSync('/proc/self/mountinfo', 'utf8');
  const bus = await startPrivateBus({ teardown: (cleanup) => t.teardown(cleanup) });
  const call = ['gdbus', 'call', '--address', bus.address, '-d', 'org.freedesktop.DBus', '-o', '/org/freedesktop/DBus'];
  const asMember = await bus.run([...call, '-m', 'org.freedesktop.DBus.GetNameOwner', 'org.freedesktop.PolicyKit1'], {
    user: 'member',
  });
  t.regex(asMember.stdout, /^\(':1\.\d+',\)/, asMember.stderr);
  const identity = await bus.run(['id'], { user: 'member' });
  t.regex(
    identity.stdout,
    /uid=60123\(member\) .*60910\(perfbroker\).*60130\(profilers\)|60130\(profilers\).*60910\(perfbroker\)/,
  );
  const uid = await bus.run(['id', '-u'], { user: 'perfbroker-bus' });
  t.is(Number(uid.stdout), USERS['perfbroker-bus']);
  t.notRegex(readFileSync('/etc/passwd', 'utf8'), /^member:/m);

  const survivor = bus.spawn(['sleep', '100'], { stdio: 'ignore' });
  const polkit = bus.polkitPid!;
  await bus.close();
  for (const pid of [survivor.pid!, polkit]) t.false(existsSync(`/proc/${pid}`), `pid ${pid}`);
  t.false(existsSync(bus.directory));
  t.is(readFileSync('/proc/self/mountinfo', 'utf8'), outer);
});

test('polkit can be stopped and started again', async (t) => {
  if (missing !== null) return skip(t, missing);
  const bus = await startPrivateBus(t, { polkit: false });
  t.is(bus.polkitPid, null);
  await bus.startPolkit();
  t.true(bus.polkitPid! > 0);
  await bus.stopPolkit('SIGKILL');
  t.is(bus.polkitPid, null);
  await bus.startPolkit();
  t.true(bus.polkitPid! > 0);
});
