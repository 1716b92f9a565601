import type { Command } from 'commander';
import type { Decision } from '../../client/index.js';
import { onlineCpus } from '../../collector/cpus.js';
import { recordingEvents } from '../../collector/event_defaults.js';
import { withCounting } from '../../model/event_syntax.js';
import { defaultRingBytes, parseRingBytes } from '../arguments.js';
import { withBroker } from '../broker.js';
import { collectEvents, eventsFrom, samplingFrom } from '../event_option.js';
import { ExitCode, printable } from '../failure.js';
import type { SelectorOptions } from '../selectors.js';
import { addSelectors, selectionOf } from '../selectors.js';
import { table } from '../text.js';
import { print } from '../output.js';

interface ExplainOptions extends SelectorOptions {
  readonly socket?: string;
  readonly event?: string;
  readonly freq?: string;
  readonly count?: string;
  readonly callGraph?: true;
  readonly mmapPages?: string;
  readonly stat?: true;
}

const HELP = `
Asks for the decision that record (or, with --stat, stat) of the same options would get, and opens nothing. Without a
selector: a command that you start, that is a process of your own. The exit code is 0 when the answer is allow, else 1.

Examples:
  perfbroker explain
  perfbroker explain -p 1234 -e cycles
  perfbroker explain --stat -a`;

export function define(command: Command): void {
  addSelectors(command)
    .option('-e, --event <EVENTS>', 'events (default: cpu-clock:u)', collectEvents)
    .option('-F, --freq <HZ>', 'samples a second')
    .option('-c, --count <PERIOD>', 'one sample for so many events')
    .option('-g, --call-graph', 'with call graphs')
    .option('-m, --mmap-pages <SIZE>', 'ring of each cpu')
    .option('--stat', 'count instead of sampling')
    .addHelpText('after', HELP)
    .action(async () => {
      process.exitCode = await run(command.optsWithGlobals<ExplainOptions>());
    });
}

async function run(options: ExplainOptions): Promise<number> {
  const { targets, inherit, cpus } = selectionOf(options);
  const bare = eventsFrom(options.event ?? 'cpu-clock:u');
  const sampling = samplingFrom(options);
  const sampled = cpus ?? onlineCpus();
  const style = { inherit, enableOnExec: false };
  const request = {
    targets: targets.length > 0 ? targets : [{ pid: process.pid }],
    ...(options.stat === true
      ? { events: withCounting(bare, style), ringSlots: 'none' as const, ...(cpus === undefined ? {} : { cpus }) }
      : {
          events: recordingEvents(bare, {
            ...style,
            ...(sampling === undefined ? {} : { sampling }),
            callGraph: options.callGraph === true,
          }),
          cpus: sampled,
          ringBytes:
            options.mmapPages === undefined ? defaultRingBytes(sampled.length) : parseRingBytes(options.mmapPages),
          ringSlots: 'cpu' as const,
        }),
  };
  const decision = await withBroker(options.socket, (client) => client.explain(request));
  print(printable(decisionText(decision)));
  return decision.verdict === 'allow' ? ExitCode.ok : ExitCode.failed;
}

function decisionText({ verdict, rule, where, classes, reasons, limits, actions }: Decision): string {
  const rows = [['verdict:', verdict]];
  if (rule !== undefined) rows.push(['rule:', where === undefined ? rule : `${rule} (${where})`]);
  rows.push(['classes:', classes.join(', ')]);
  if (limits !== undefined) {
    const text = Object.entries(limits).map(([name, value]) => `${name} ${value}`);
    rows.push(['limits:', text.join(', ')]);
  }
  if (actions !== undefined) rows.push(['asks:', `polkit: ${actions.join(', ')}`]);
  for (const [index, reason] of reasons.entries()) rows.push([index === 0 ? 'reasons:' : '', reason.text]);
  return table(rows);
}
