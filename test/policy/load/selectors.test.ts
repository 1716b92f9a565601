import test from 'ava';
import { parse } from 'smol-toml';
import type { PolicyProblem } from '#dist/policy/error.js';
import { Positions } from '#dist/policy/load/positions.js';
import { TableReader } from '#dist/policy/load/reader.js';
import { readSubjects, readTargets, SUBJECT_KEYS, TARGET_KEYS } from '#dist/policy/load/selectors.js';
import { names } from '../fixtures.js';

function open(text: string, allowed: readonly string[]): { reader: TableReader; problems: PolicyProblem[] } {
  const problems: PolicyProblem[] = [];
  return {
    problems,
    reader: new TableReader(parse(text), [], allowed, { file: 'a.toml', positions: new Positions(text), problems }),
  };
}

test('names of users and groups become numbers', (t) => {
  const { reader, problems } = open('users = ["alice", 7]\ngroups = ["ops"]\n', SUBJECT_KEYS);
  t.like(readSubjects(reader, names), { uids: [1000, 7], gids: [991], everyone: false });
  t.deepEqual(problems, []);
});

test('a missing group is a problem, or is reported where that is allowed', (t) => {
  const strict = open('groups = ["none"]\n', SUBJECT_KEYS);
  readSubjects(strict.reader, names);
  t.regex(strict.problems[0]?.message ?? '', /no group is called "none"/);
  const lenient = open('groups = ["none"]\n', SUBJECT_KEYS);
  const missing: string[] = [];
  t.deepEqual(readSubjects(lenient.reader, names, (name) => missing.push(name)).gids, []);
  t.deepEqual([missing, lenient.problems], [['none'], []]);
});

test('uid 2^32-1 belongs to no user', (t) => {
  const { reader, problems } = open('users = [4294967295]\n', SUBJECT_KEYS);
  readSubjects(reader, names);
  t.is(problems[0]?.message, 'the number 4294967295 is not a user');
});

test('a rule has to name the users whose processes it covers', (t) => {
  const { reader, problems } = open('executables = ["/bin/x"]\n', TARGET_KEYS);
  readTargets(reader, names);
  t.is(problems[0]?.message, 'selects processes, but not their users');
});

test('paths and units that no process can have are problems', (t) => {
  const { reader, problems } = open(
    'any_user = true\ncgroups = ["/sys/fs/cgroup/a", "/a/../b"]\nexecutables = ["bin/x"]\nunits = ["a.slice"]\n',
    TARGET_KEYS,
  );
  readTargets(reader, names);
  t.deepEqual(problems.map(({ key }) => key).sort(), ['cgroups', 'cgroups', 'executables', 'units']);
});
