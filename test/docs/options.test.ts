/** Options that the documents mention exist, and those of perfbrokerd are all in its manual page. */
import test from 'ava';
import { blocks, help, longOptions, MAN_PAGES, MARKDOWN, prose, type Document } from './documents.js';

const COMMANDS = [
  'record',
  'stat',
  'report',
  'explain',
  'describe',
  'grants',
  'revoke',
  'redeem',
  'downgrade',
  'run',
  'policy',
];
const daemon = longOptions(help('perfbrokerd'));
const frontEnd = longOptions(help('perfbroker-bus'));
const general = longOptions(help('perfbroker'));
const byCommand = new Map(COMMANDS.map((name) => [name, longOptions(help('perfbroker', name))]));
const known = new Set([...daemon, ...general, ...[...byCommand.values()].flatMap((options) => [...options])]);

/** Command lines of our programs in blocks and in backticks, as far as they are ours: not beyond `--`. */
function commandLines(document: Document): { program: string; rest: string }[] {
  const shell = blocks(document, '(?:sh|text)?').join('\n').split('\n');
  const inline = [...prose(document).matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
  return [...shell, ...inline].flatMap((line) => {
    const found = /^(?:sudo )?(?:[\w./-]*\/)?(perfbrokerd?) (.*)$/.exec(line.trim());
    return found === null ? [] : [{ program: found[1] ?? '', rest: (found[2] ?? '').split(/ -- | # /)[0] ?? '' }];
  });
}

for (const document of MARKDOWN) {
  test(`options in command lines of ${document.path} exist`, (t) => {
    for (const { program, rest } of commandLines(document)) {
      const command = rest.split(' ').find((word) => byCommand.has(word));
      const options =
        program === 'perfbrokerd' ? daemon : new Set([...general, ...(byCommand.get(command ?? '') ?? [])]);
      for (const option of longOptions(rest)) t.true(options.has(option), `${program} ${rest}: --${option}`);
    }
    t.pass();
  });
}

/** Documents that mention no options of other programs. */
const OURS = ['SECURITY.md', 'docs/protocol.md', 'docs/privilege-separation.md', 'docs/architecture.md'];
for (const document of MARKDOWN.filter(({ path }) => OURS.includes(path))) {
  test(`every option that ${document.path} mentions exists`, (t) => {
    t.deepEqual(
      [...longOptions(document.text)].filter((option) => !known.has(option)),
      [],
    );
  });
}

test('the command lines of the README are looked at', (t) => {
  const lines = commandLines(MARKDOWN.find(({ path }) => path === 'README.md')!);
  t.true(lines.length >= 8);
  t.true(lines.some(({ program, rest }) => program === 'perfbrokerd' && rest.includes('--audit')));
});

for (const { path, text } of MAN_PAGES) {
  test(`every option that ${path} mentions exists`, (t) => {
    const plain = text.replaceAll('\\-', '-');
    const allowed = path.endsWith('perfbroker-bus.8') ? frontEnd : path.endsWith('.8') ? daemon : known;
    t.deepEqual(
      [...longOptions(plain)].filter((option) => !allowed.has(option)),
      [],
    );
  });
}

test('perfbrokerd(8) has every option and exit code that --help has', (t) => {
  const page = MAN_PAGES.find(({ path }) => path.endsWith('perfbrokerd.8'))!.text.replaceAll('\\-', '-');
  const there = longOptions(page);
  t.deepEqual(
    [...daemon].filter((option) => !there.has(option)),
    [],
  );
  for (const [, code] of help('perfbrokerd').matchAll(/^ {2}(\d) {2}/gm)) t.true(page.includes(`.B ${code}\n`), code);
});

test('perfbroker-bus(8) has every option and exit code that --help has', (t) => {
  const page = MAN_PAGES.find(({ path }) => path.endsWith('perfbroker-bus.8'))!.text.replaceAll('\\-', '-');
  const there = longOptions(page);
  t.deepEqual(
    [...frontEnd].filter((option) => !there.has(option)),
    [],
  );
  for (const [, code] of help('perfbroker-bus').matchAll(/^ {2}(\d) {2}/gm))
    t.true(page.includes(`.B ${code}\n`), code);
});

test('perfbroker(1) has every command', (t) => {
  const page = MAN_PAGES.find(({ path }) => path.endsWith('perfbroker.1'))!.text;
  const commands = [...help('perfbroker').matchAll(/^ {2}(\w+)(?:\|\w+)? \[options\]/gm)].map(
    (match) => match[1] ?? '',
  );
  t.deepEqual([...commands].sort(), [...COMMANDS].sort());
  for (const command of commands) t.regex(page, new RegExp(`^\\.(?:B|BR|BI) "?${command}\\b`, 'm'));
});
