import test from 'ava';
import { fdLimitWarning, readFdLimit } from '#dist/broker/lifecycle/fd_limit.js';
import { builtIn } from '#dist/policy/load/load.js';
import { parsePolicy } from '#dist/policy/load/parse.js';

test('the hard limit of open files is read, and a low one is a warning with the figure that is needed', (t) => {
  t.true(readFdLimit() > 0);
  const policy = parsePolicy([builtIn()]);
  t.is(fdLimitWarning(policy, Infinity), null);
  t.is(fdLimitWarning(policy, 262_144), null);
  const warning = fdLimitWarning(policy, 1024) ?? '';
  t.regex(warning, /is 1024, and the policy's limits need 201184.*LimitNOFILE=/);
  t.is(fdLimitWarning(policy, 201_184), null);
  t.not(fdLimitWarning(policy, 201_183), null);
});
