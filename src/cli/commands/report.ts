import type { Command } from 'commander';
import { escapeName } from '../../common/quote.js';
import { readProfile, type UnknownMemory } from '../../collector/profile/profile.js';
import { hottestFunctions } from '../../collector/profile/hot_functions.js';
import { FormatError } from '../../formats/format_error.js';
import { PerfDataReader } from '../../formats/perfdata_reader.js';
import { parseInteger } from '../arguments.js';
import { ExitCode, Failure } from '../failure.js';
import { grouped, samplesText, table } from '../text.js';
import { print } from '../output.js';

const HELP = `
Prints a table for each event: the share of samples in the function itself, the share with the function anywhere on the
stack (with call graphs), the samples, the object and the function. Names come from the files as they are now, from
/usr/lib/debug by build-id, and from /tmp/perf-PID.map. perf report reads the same file and has many more options.
perfbroker top is another name of this command.

Examples:
  perfbroker report
  perfbroker report --limit 10 profile.data`;

export function define(command: Command): void {
  command
    .argument('[FILE]', 'perf.data file', 'perf.data')
    .option('-n, --limit <N>', 'print at most N functions of each event', '40')
    .addHelpText('after', HELP)
    .action((file: string) => {
      const limit = parseInteger(command.opts<{ limit: string }>().limit, '--limit', 1, 1_000_000);
      report(file, limit);
    });
}

function report(file: string, limit: number): void {
  try {
    using reader = new PerfDataReader(file);
    const profile = readProfile(reader);
    const texts = reader.events.map(
      (event, index) =>
        eventTable(event.name, hottestFunctions(profile, index), limit) + unknownText(profile.unknown.get(index)),
    );
    const lost = profile.lost > 0n ? `${grouped(profile.lost)} records were lost.\n` : '';
    const cut = reader.finished ? '' : 'The recording was cut off: it ends with the last complete record.\n';
    print(`${cut}${lost}${texts.join('\n')}`);
  } catch (error) {
    if (error instanceof FormatError)
      throw new Failure(
        `${file}: ${error.message}`,
        'The file is not a perf.data file of a supported form, or it is damaged.',
        'Record again. Files that perf recorded are supported, except compressed ones (-z) and those written to a pipe.',
        ExitCode.failed,
      );
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new Failure(
        `there is no file ${file}`,
        '',
        'Give the path of a recording. perfbroker record writes perf.data in its working directory, unless -o names another file.',
      );
    throw error;
  }
}

const MAX_PIDS = 5;

/** The lines below a table whose every address is unknown. */
function unknownText(memory: UnknownMemory | undefined): string {
  if (memory === undefined) return '';
  const { pids, unmapped } = memory;
  if (unmapped.length === 0) return `No mapping in the file covers these addresses of ${processes(pids)}.\n`;
  return (
    `The file has no memory map of ${processes(unmapped)}, so that its addresses have no names. ` +
    'The recording user may read the maps of a process only if ptrace(2) is allowed: not of another user, and not of one that is not dumpable.\n'
  );
}

function processes(pids: readonly number[]): string {
  const more = pids.length > MAX_PIDS ? ` and ${grouped(pids.length - MAX_PIDS)} more` : '';
  return `process${pids.length === 1 ? '' : 'es'} ${pids.slice(0, MAX_PIDS).join(', ')}${more}`;
}

function eventTable(name: string, functions: ReturnType<typeof hottestFunctions>, limit: number): string {
  const samples = functions.reduce((sum, each) => sum + each.self, 0);
  const stacks = functions.some((each) => each.total !== each.self);
  const share = (part: number): string => `${((100 * part) / samples).toFixed(2)}%`;
  const header = ['self', ...(stacks ? ['total'] : []), 'samples', 'object', 'function'];
  const rows = functions
    .slice(0, limit)
    .map((each) => [
      share(each.self),
      ...(stacks ? [share(each.total)] : []),
      grouped(each.self),
      each.object,
      each.name,
    ]);
  const rest = functions.length > limit ? `… and ${grouped(functions.length - limit)} more functions\n` : '';
  return `${escapeName(name)}: ${samplesText(samples)}\n${table([header, ...rows], stacks ? [0, 1, 2] : [0, 1])}${rest}`;
}
