import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { ROOT, skip } from '../e2e/daemon.js';
import { help, MAN_PAGES } from './documents.js';

for (const { path } of MAN_PAGES) {
  test(`${path} is formatted without a warning`, (t) => {
    const run = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z', join(ROOT, path)], { encoding: 'utf8' });
    if (run.error !== undefined || /cannot load 'DESC'|can't open macro/.test(run.stderr))
      return skip(t, 'groff is not installed');
    t.is(run.stderr, '');
    t.is(run.status, 0);
  });
}

/** Names that a page describes: its NAME line. */
const namesOf = (text: string): string[] =>
  (/^\.SH NAME\n(.*?) \\- /m.exec(text)?.[1] ?? '').replaceAll('\\-', '-').split(', ');

/** Commands of the command line, by the names that --help gives them: report|top is two. */
const COMMANDS = [...help('perfbroker').matchAll(/^ {2}(\w+)(?:\|(\w+))? \[options\]/gm)].flatMap((match) =>
  match.slice(1).filter((name) => name !== undefined),
);

test('every command has a page, and every page of a command has one', (t) => {
  const described = MAN_PAGES.flatMap(({ text }) => namesOf(text)).filter((name) => name.startsWith('perfbroker-'));
  t.deepEqual(
    described.filter((name) => name !== 'perfbroker-bus').sort(),
    COMMANDS.map((name) => `perfbroker-${name}`).sort(),
  );
});

test('there are pages for the programs and for the policy', (t) => {
  const files = MAN_PAGES.map(({ path }) => path);
  for (const page of ['perfbroker.1', 'perfbroker.policy.5', 'perfbrokerd.8'])
    t.true(files.includes(`docs/man/${page}`));
});

for (const { path, text } of MAN_PAGES.filter(({ path }) => /perfbroker-\w+\.1$/.test(path))) {
  test(`${path} has the options that --help has, and no other`, (t) => {
    const section = /^\.SH OPTIONS\n(.*?)^\.SH /ms.exec(text)?.[1] ?? '';
    const described = [...section.matchAll(/^\.TP\n\.BR? (.*)$/gm)].flatMap(([, line = '']) =>
      [...line.replaceAll('\\-', '-').matchAll(/(?<![\w-])--?[a-zA-Z][\w-]*/g)].map(([option]) => option),
    );
    const commands = namesOf(text).map((name) =>
      name === 'perfbroker-policy' ? ['policy', 'check'] : [name.slice(11)],
    );
    const offered = commands.flatMap((command) =>
      [...help('perfbroker', ...command).matchAll(/^ {2}(?:(-\w), )?(--[\w-]+)/gm)].flatMap((match) =>
        match.slice(1).filter((option) => option !== undefined),
      ),
    );
    // Each once: a page of several commands describes what they share in one place.
    t.deepEqual(described.sort(), [...new Set(offered)].sort());
  });
}
