import type { Command } from 'commander';
import type { DescribeReply } from '../../client/index.js';
import { withBroker } from '../broker.js';
import { jsonText, table } from '../text.js';
import { print } from '../output.js';

interface DescribeOptions {
  readonly socket?: string;
  readonly json?: true;
}

const HELP = `
Examples:
  perfbroker describe
  perfbroker describe --json`;

export function define(command: Command): void {
  command
    .option('-j, --json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async () => {
      const options = command.optsWithGlobals<DescribeOptions>();
      const reply = await withBroker(options.socket, (client) => client.describe());
      print(options.json === true ? jsonText(reply, 2) : textOf(reply));
    });
}

function textOf(reply: DescribeReply): string {
  const { caller } = reply;
  const listed = (items: readonly (string | number)[]): string => (items.length > 0 ? items.join(', ') : 'none');
  return table([
    ['broker:', `perfbroker ${reply.version}`],
    ['kernel:', `${reply.kernel}, perf_event_paranoid ${reply.paranoid}, requires ${reply.capability}`],
    ['ceiling:', listed(reply.ceiling)],
    ['cpus online:', listed(reply.onlineCpus)],
    ['highest sample rate:', `${reply.maxSampleRate} Hz`],
    ['PMUs:', listed(reply.pmus.map(({ name }) => name))],
    ['tracepoints:', `${reply.tracepoints}`],
    ['policy:', listed(reply.policy)],
    [
      'you are:',
      `pid ${caller.pid}, uid ${caller.uid}, gid ${caller.gid}${caller.administrator ? ', an administrator' : ''}`,
    ],
    ['rules for you:', reply.rules[0] ?? 'none'],
    ...reply.rules.slice(1).map((rule) => ['', rule]),
  ]);
}
