import type { Command } from 'commander';
import type { Client, Decision } from '../../client/index.js';
import { recordingEvents } from '../../collector/event_defaults.js';
import type { EventSpec } from '../../model/event.js';
import { eventName } from '../../model/events/syntax/event_name.js';
import { withCounting } from '../../model/events/event_defaults.js';
import { describeLimits } from '../../policy/load/limits.js';
import { defaultRingBytes, parseRingBytes } from '../arguments.js';
import { withBroker } from '../broker.js';
import { collectEvents, eventsFrom, samplingFrom } from '../event_option.js';
import { ExitCode } from '../failure.js';
import type { SelectorOptions } from '../selectors.js';
import { addSelectors, selectionOf, type Selection } from '../selectors.js';
import { requireOnline, sampledCpus, type SampledCpus } from '../session/sampled_cpus.js';
import { defaultEvents, userModeOf } from '../stat_events.js';
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
Prints the decision that record (with --stat: stat) with the same options would get, and opens nothing. Without a
target it is about a command that you start, which is a process of your own. The exit code is 0 for allow, else 1.
With --stat and without -e it is about the default events of stat: with kernel mode, and in user mode alone (:u) where
kernel mode is not allowed without authorization.

Examples:
  perfbroker explain
  perfbroker explain -p 1234 -e cycles
  perfbroker explain --stat -a`;

export function define(command: Command): void {
  addSelectors(command)
    .option('-e, --event <EVENTS>', 'events (default: cpu-clock:u; with --stat: those of stat)', collectEvents)
    .option('-F, --freq <HZ>', 'sampling frequency in Hz')
    .option('-c, --count <PERIOD>', 'sample every PERIOD events')
    .option('-g, --call-graph', 'record call graphs')
    .option('-m, --mmap-pages <SIZE>', "size of each cpu's ring (default: 512K; less above 32 cpus)")
    .option('--stat', 'count instead of sampling')
    .addHelpText('after', HELP)
    .action(async () => {
      process.exitCode = await run(command.optsWithGlobals<ExplainOptions>());
    });
}

/** The decision, and the events it is about where the options do not name them. */
interface Answer {
  readonly decision: Decision;
  readonly about?: readonly EventSpec[];
}

async function run(options: ExplainOptions): Promise<number> {
  const selection = selectionOf(options);
  const events = options.event === undefined ? undefined : eventsFrom(options.event);
  const sampling = samplingFrom(options);
  const ringBytes = options.mmapPages === undefined ? undefined : parseRingBytes(options.mmapPages);
  const ask =
    options.stat === true
      ? (client: Client) => explainCount(client, selection, events)
      : async (client: Client) => {
          const { cpus } = await sampledCpus(client, selection.cpus);
          const request = recording(
            { ...selection, cpus },
            ringBytes ?? defaultRingBytes(cpus.length),
            recordingEvents(events ?? eventsFrom('cpu-clock:u'), {
              inherit: selection.inherit,
              enableOnExec: false,
              ...(sampling === undefined ? {} : { sampling }),
              callGraph: options.callGraph === true,
            }),
          );
          return { decision: await client.explain(request) };
        };
  const { decision, about } = await withBroker<Answer>(options.socket, ask);
  print(decisionText(decision, about));
  return decision.verdict === 'allow' ? ExitCode.ok : ExitCode.failed;
}

function recording(
  { targets, cpus }: Selection & Pick<SampledCpus, 'cpus'>,
  ringBytes: number,
  events: readonly EventSpec[],
): Parameters<Client['explain']>[0] {
  return { targets: orSelf(targets), events, cpus, ringBytes, ringSlots: 'cpu' as const };
}

/** Explains what stat would count: its default events in user mode alone, where kernel mode is not allowed. */
async function explainCount(
  client: Client,
  { targets, inherit, cpus }: Selection,
  events: readonly EventSpec[] | undefined,
): Promise<Answer> {
  await requireOnline(client, cpus);
  const explain = (about: readonly EventSpec[]): Promise<Decision> =>
    client.explain({
      targets: orSelf(targets),
      events: withCounting(about, { inherit, enableOnExec: false }),
      ...(cpus === undefined ? {} : { cpus }),
    });
  if (events !== undefined) return { decision: await explain(events) };
  const both = await defaultEvents(client);
  const decision = await explain(both);
  if (decision.verdict === 'allow') return { decision, about: both };
  const user = userModeOf(both);
  return { decision: await explain(user), about: user };
}

/** Without a target the request is about a process of the caller. */
function orSelf(targets: Selection['targets']): Selection['targets'] {
  return targets.length > 0 ? targets : [{ pid: process.pid }];
}

function decisionText(
  { verdict, rule, where, classes, reasons, limits, actions }: Decision,
  about: readonly EventSpec[] | undefined,
): string {
  const rows = [['verdict:', verdict]];
  if (about !== undefined) rows.push(['events:', about.map(eventName).join(', ')]);
  if (rule !== undefined) rows.push(['rule:', where === undefined ? rule : `${rule} (${where})`]);
  rows.push(['classes:', classes.join(', ')]);
  if (limits !== undefined) rows.push(['limits:', describeLimits(limits)]);
  if (actions !== undefined) rows.push(['asks:', `polkit: ${actions.join(', ')}`]);
  for (const [index, reason] of reasons.entries()) rows.push([index === 0 ? 'reasons:' : '', reason.text]);
  return table(rows);
}
