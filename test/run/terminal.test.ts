/** `record` and `stat` on a terminal, under an interactive shell: the terminal is CMD's, and jobs are controlled as ever. */
import { spawnSync } from 'node:child_process';
import test from 'ava';
import { startDaemon, type Daemon } from '../e2e/daemon.js';
import { openTerminal, type Terminal } from '../tools/terminal.js';
import { ALICE, launcher, unfit, userDirectory } from './support.js';

const reason = unfit() ?? missing('python3', 'bash', 'stty');
if (reason !== null) console.error(`skipped: ${reason}`);
const real = reason === null ? test.serial : test.serial.skip;

function missing(...programs: readonly string[]): string | null {
  const absent = programs.find((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  return absent === undefined ? null : `there is no ${absent}`;
}

let daemon: Daemon;
const directory = reason === null ? userDirectory(ALICE) : { path: '', remove: () => undefined };
test.serial.before(async () => {
  if (reason === null) daemon = await startDaemon();
});
test.after.always(async () => {
  await daemon?.stop();
  directory.remove();
});

/** Line of progress, or any other text of perfbroker's that moves over a line. */
const ERASE = '\u001b[K';

interface Session {
  readonly terminal: Terminal;
  /** Types a line, and waits for the output after it. */
  readonly expect: (line: string, pattern: RegExp) => Promise<string>;
}

async function withTerminal(use: (session: Session) => Promise<void>): Promise<void> {
  const env = { PATH: process.env['PATH'], PERFBROKER_SOCKET: daemon.socket, PB: launcher(), HOME: directory.path };
  const terminal = openTerminal({ uid: ALICE, cwd: directory.path, env });
  const expect = async (line: string, pattern: RegExp): Promise<string> => {
    const from = terminal.output.text().length;
    terminal.type(line);
    await terminal.output.match(pattern, from);
    return terminal.output.text().slice(from);
  };
  try {
    await terminal.output.match(/prompt> /);
    await use({ terminal, expect });
  } finally {
    // Ctrl-C, so that no job is left; then the end of the shell.
    terminal.type('\u0003\n');
    terminal.type('kill -9 $(jobs -p); exit\n');
    await terminal.ended;
  }
}

real('nothing is written over the prompt of a command, and its input is not disturbed', async (t) => {
  await withTerminal(async ({ expect }) => {
    // Longer than the time between two lines of progress.
    const command = `sh -c 'printf "na"; printf "me: "; sleep 1.3; read -r n; echo "got <$n>"'`;
    for (const observer of ['record', 'stat']) {
      const shown = await expect(`$PB ${observer} -- ${command}\n`, /name: /);
      const rest = await expect('alice\n', /got <alice>[^]*(samples?|time elapsed)[^]*prompt> /);
      t.false((shown + rest).includes(ERASE), observer);
    }
  });
});

real('a line of progress appears without a command, or when it is asked for', async (t) => {
  await withTerminal(async ({ expect }) => {
    t.true((await expect('$PB record -p $$\n', /\(Ctrl-C ends\)/)).includes(ERASE));
    await expect('\u0003', /(interrupted|the command ended)\)[^]*prompt> /);
    t.true((await expect('$PB record --progress -- sleep 1000\n', /\(Ctrl-C ends\)/)).includes(ERASE));
    await expect('\u0003', /(interrupted|the command ended)\)[^]*prompt> /);
    const quiet = await expect('$PB record -q -p $$ --duration 1.3; echo "do"ne\n', /done/);
    t.false(quiet.includes(ERASE));
    t.notRegex(quiet, /samples/);
    // In the background nothing moves over the line that the user types.
    await expect('$PB record -p $$ --duration 1.6 &\n', /prompt> /);
    t.false((await expect('wait\n', /duration is over[^]*prompt> /)).includes(ERASE));
  });
});

real('Ctrl-Z stops the job, fg and bg continue it, and Ctrl-C ends it', async (t) => {
  await withTerminal(async ({ expect }) => {
    for (const observer of ['record', 'stat']) {
      const job = `sh -c 'echo "run""ning"; while read -r line; do echo "got <$line>"; done'`;
      await expect(`$PB ${observer} -- ${job}\n`, /running/);
      await expect('\u001a', /Stopped[^]*prompt> /);
      await expect('jobs\n', /Stopped[^]*prompt> /);
      await expect('fg\n', new RegExp(`${observer} --`));
      await expect('one\n', /got <one>/);
      const ended = await expect('\u0003', /(interrupted|the command ended|time elapsed)[^]*prompt> /);
      t.regex(ended, /\^C/);
      t.regex(await expect('echo "code $?"\n', /code \d+/), /code 1(30|43)/);
    }
    await expect(`$PB record -- sh -c 'echo "run""ning"; exec sleep 1000'\n`, /running/);
    await expect('\u001a', /Stopped[^]*prompt> /);
    await expect('bg\n', /prompt> /);
    await expect('jobs\n', /Running[^]*prompt> /);
    await expect('kill %1; wait\n', /(interrupted|the command ended)[^]*prompt> /);
  });
});

real('a job in the background stops before it writes where the terminal asks for that', async (t) => {
  await withTerminal(async ({ expect }) => {
    await expect('stty tostop\n', /prompt> /);
    await expect('$PB record -- sleep 0.1 &\n', /prompt> /);
    for (let shown = ''; !shown.includes('Stopped');)
      shown = await expect('sleep 0.2; jobs; echo "li"sted\n', /listed/);
    t.regex(await expect('fg\n', /prompt> /), /the command ended/);
  });
});

real('a command that changes the modes of the terminal has changed them', async (t) => {
  await withTerminal(async ({ expect }) => {
    for (const observer of ['record', 'stat']) {
      await expect(`$PB ${observer} -- stty -echoctl\n`, /(samples?|time elapsed)[^]*prompt> /);
      t.regex(await expect('stty -a; echo "li"sted\n', /listed/), /-echoctl/, observer);
      await expect('stty echoctl\n', /prompt> /);
    }
  });
});

real('a full-screen program has the screen to itself', async (t) => {
  const programs = [
    ['vim', `vim -u NONE -c 'normal ihere' file`, ':q!\n'],
    ['less', 'less /etc/passwd', 'q'],
  ] as const;
  const present = programs.filter(([program]) => missing(program) === null);
  if (present.length === 0) return void t.pass('skipped: there is neither vim nor less');
  await withTerminal(async ({ expect }) => {
    for (const [program, command, quit] of present) {
      await expect(`$PB record -o screen.data -- ${command}\n`, program === 'vim' ? /here/ : /root:/);
      const before = await expect('', /$/);
      // Longer than the time between two lines of progress.
      await new Promise((resolve) => setTimeout(resolve, 1300));
      const after = await expect(quit, /screen\.data: [^]*prompt> /);
      t.notRegex(before + after, /Ctrl-C ends/, program);
    }
  });
});
