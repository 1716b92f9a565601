import test from 'ava';
import { CAP_PERFMON, CAP_SYS_ADMIN, isAdministrator } from '#dist/model/identity/subject.js';
import { administrator, subject } from '../../policy/fixtures.js';

test('root with one of the two capabilities is an administrator', (t) => {
  t.true(isAdministrator({ ...administrator, permitted: 1n << CAP_PERFMON }));
  t.true(isAdministrator({ ...administrator, permitted: 1n << CAP_SYS_ADMIN }));
});

test('root without them, root of a user namespace, and another user with them are not', (t) => {
  t.false(isAdministrator({ ...administrator, permitted: ~((1n << CAP_PERFMON) | (1n << CAP_SYS_ADMIN)) }));
  t.false(isAdministrator({ ...administrator, sameUserNamespace: false }));
  t.false(isAdministrator(subject({ permitted: administrator.permitted })));
});
