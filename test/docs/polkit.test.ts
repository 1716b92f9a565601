import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { eventsText, targetsText } from '#dist/broker/methods/request/request_text.js';
import type { ProcessFacts } from '#dist/broker/processes/proc.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import {
  ask,
  open,
  type OpenQuestion,
  startAuthorizerProcess,
  startSubject,
  startTimeOf,
} from '../bus/authorizer_support.js';
import { noPrivateBus, startPrivateBus, USERS } from '../bus/private_bus.js';
import { ROOT, skip } from '../e2e/daemon.js';
import { blocks, read } from './documents.js';

const DOCUMENT = read('docs/polkit.md');
const POLICY = 'polkit/org.perfbroker.policy';
const NO = { authorized: false, challenge: false, dismissed: false };
const CHALLENGE = { authorized: false, challenge: true, dismissed: false };

test('the actions of docs/polkit.md have the defaults of the policy file', (t) => {
  const text = readFileSync(join(ROOT, POLICY), 'utf8');
  const shipped = text
    .split('<action ')
    .slice(1)
    .map((action) => {
      const [, id] = /id="([^"]+)"/.exec(action) ?? [];
      const of = (who: string): string | undefined => new RegExp(`<allow_${who}>(\\w+)<`).exec(action)?.[1];
      t.is(of('any'), of('inactive'), id);
      return [id, of('active'), of('any')];
    });
  const documented = [
    ...DOCUMENT.text.matchAll(/^\| `(org\.perfbroker\.[a-z-]+)` +\|[^|]*\| `(\w+)` +\| `(\w+)` +\|$/gm),
  ];
  t.deepEqual(
    documented.map((row) => row.slice(1)),
    shipped,
  );
  t.is(shipped.length, 7);
});

test('every action has a description, and a message with all that is asked, in three languages', (t) => {
  for (const action of readFileSync(join(ROOT, POLICY), 'utf8').split('<action ').slice(1))
    for (const element of ['description', 'message'])
      for (const language of ['', ' xml:lang="de"', ' xml:lang="fr"']) {
        const [, words] = new RegExp(`<${element}${language}>([^<]+)</${element}>`).exec(action) ?? [];
        t.truthy(words, action.slice(0, 40));
        if (element === 'message')
          for (const detail of ['caller', 'target', 'events']) t.true(words?.includes(`$(${detail})`), words);
      }
});

test('the dialogs of docs/polkit.md have the text that the broker and the policy file make for such requests', (t) => {
  const messages = [...readFileSync(join(ROOT, POLICY), 'utf8').matchAll(/<message>([^<]+)</g)].map(([, text]) => text);
  const process = { pid: 815, executable: '[workload]', uids: [1000, 1000, 1000] } as unknown as ProcessFacts;
  const values: Readonly<Record<string, readonly string[]>> = {
    caller: ['[node] (process 4711, uid 1000)'],
    events: [eventsText(parseEvents('cpu-clock')), 'revoke'],
    target: [targetsText([{ kind: 'process', process, tid: null, fd: 0 }]), 'grant 0123456789abcdef01234567'],
  };
  const possible = messages.flatMap((message = '') =>
    [0, 1].map((choice) =>
      message.replace(/\$\((\w+)\)/g, (_, name: string) => values[name]?.[choice] ?? values[name]?.[0] ?? ''),
    ),
  );
  const shown = [...DOCUMENT.text.matchAll(/^> (.*)$/gm)].map(([, text = '']) => text);
  t.is(shown.length, 2);
  for (const text of shown) t.true(possible.includes(text), text);
});

test('the rules of docs/polkit.md have the documented effect', async (t) => {
  const missing = noPrivateBus();
  if (missing !== null) return skip(t, missing);
  const [local = '', downgrade = ''] = blocks(DOCUMENT, 'js');
  t.regex(local, /40-perfbroker-local/);
  const bus = await startPrivateBus(t, { actions: [POLICY], rules: [local] });
  const subject = await startSubject(bus, 'member');
  const { socket } = await startAuthorizerProcess(bus);
  t.deepEqual(await ask(socket, { subject, action: 'org.perfbroker.count-own' }), NO);

  const member = downgrade.replace('"ops"', '"profilers"');
  t.not(member, downgrade);
  // Then nothing decides, so that a challenge comes from the rule alone.
  const rest = 'polkit.addRule(function () { return polkit.Result.NO; });';
  const other = await startPrivateBus(t, { actions: [POLICY], rules: [member, rest] });
  const authorizer = await startAuthorizerProcess(other);
  t.deepEqual(await ask(authorizer.socket, { subject, action: 'org.perfbroker.downgrade' }), CHALLENGE);
  const outsider = await startSubject(other, 'outsider');
  t.deepEqual(await ask(authorizer.socket, { subject: outsider, action: 'org.perfbroker.downgrade' }), NO);
});

test('the agent for a terminal in docs/polkit.md asks there', async (t) => {
  const missing = noPrivateBus();
  if (missing !== null) return skip(t, missing);
  for (const tool of ['pkttyagent', 'script'])
    if (spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0) return skip(t, `${tool} is not installed`);
  const [example = ''] = blocks(DOCUMENT, 'sh');
  const command = example.replace(/exec perfbroker .*'/, () => "echo pid=$$; exec sleep 600'");
  t.not(command, example);
  const bus = await startPrivateBus(t, { actions: [POLICY] });
  const { socket } = await startAuthorizerProcess(bus);
  // A terminal of its own, as ssh gives one; it hangs up when this test closes the standard input.
  const terminal = bus.spawn(['script', '--quiet', '--command', command, '/dev/null'], {
    user: 'outsider',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  const shown = new Set<() => void>();
  terminal.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    for (const look of shown) look();
  });
  const shows = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve) => {
      const look = (): void => {
        const match = pattern.exec(output);
        if (match !== null) resolve(match);
      };
      shown.add(look);
      look();
    });
  const pid = Number((await shows(/pid=(\d+)/))[1]);
  const subject = { uid: USERS.outsider, pid, startTime: startTimeOf(pid) };
  const details = { target: 'process 815', events: 'cpu-clock', caller: '/usr/bin/perfbroker' };
  const dialog = shows(/let \/usr\/bin\/perfbroker observe what the kernel does: cpu-clock of process 815/);
  const asked = (): OpenQuestion =>
    open(socket, { subject, action: 'org.perfbroker.kernel', details, interactive: true });
  // A busy machine may need more than the second that the example gives the agent.
  let question = asked();
  while ((await Promise.race([dialog, question.outcome.then(() => null)])) === null) question = asked();
  t.pass();
  question.takeBack();
  process.kill(pid, 'SIGKILL');
  terminal.stdin?.end();
  await once(terminal, 'exit');
});
