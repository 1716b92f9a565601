import { Command, CommanderError, Option } from 'commander';
import { commandParent } from './command_parent.js';
import { ExitCode, UsageError, describeFailure } from './failure.js';
import { VERSION } from '../version.js';
import { print, printError } from './output.js';

/** Module of a command, imported only when the command is used. */
interface CommandModule {
  /** Adds options, arguments and the action, which sets process.exitCode. */
  define(command: Command): void;
}

const COMMANDS: Readonly<Record<string, { summary: string; alias?: string; load: () => Promise<CommandModule> }>> = {
  record: {
    summary: 'sample processes into a perf.data file or folded stacks',
    load: () => import('./commands/record.js'),
  },
  run: {
    summary: 'become a profiled command without profiling privileges',
    load: () => import('./commands/run.js'),
  },
  stat: { summary: 'count events of processes', load: () => import('./commands/stat.js') },
  report: {
    summary: 'print the hottest functions of a recording',
    alias: 'top',
    load: () => import('./commands/report.js'),
  },
  explain: {
    summary: 'print the policy decision on a request, and its reasons',
    load: () => import('./commands/explain.js'),
  },
  describe: { summary: 'print what the broker offers on this machine', load: () => import('./commands/describe.js') },
  grants: { summary: 'list grants', load: () => import('./commands/grants.js') },
  revoke: { summary: 'end a grant', load: () => import('./commands/revoke.js') },
  downgrade: {
    summary: 'remove capabilities from a running process',
    load: () => import('./commands/downgrade.js'),
  },
  redeem: {
    summary: 'redeem a ticket of the D-Bus interface',
    load: () => import('./commands/redeem.js'),
  },
  policy: { summary: 'check a policy file', load: () => import('./commands/policy.js') },
};

const EPILOGUE = `
Exit codes: 0 done; 1 denied or failed; 2 usage error; 3 the broker cannot be reached; 125 CMD could not be started;
126 CMD could not be executed; 127 CMD was not found; 130 interrupted before events were opened, or interrupted twice.
Otherwise that of CMD: its own, or 128 + N when signal N ended it.

Examples:
  perfbroker record -g -p 1234 --duration 10
  perfbroker record -o profile.folded -- ./program argument
  perfbroker stat -- make
  perfbroker explain -p 1234 -e cycles`;

/**
 * Runs the command line.
 * @param args without the interpreter and the script
 */
export async function main(args: readonly string[]): Promise<void> {
  try {
    await (await programFor(args)).parseAsync(helpAsOption(args), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed the message. It also throws for --help and --version, with exit code 0.
      process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
      return;
    }
    const { text, exitCode } = describeFailure(error);
    printError(text);
    if (error instanceof UsageError) printError(`See perfbroker ${commandOf(args) ?? ''} --help.\n`);
    process.exitCode = exitCode;
  } finally {
    commandParent()?.[Symbol.dispose]();
  }
}

/** Turns `help policy check` into `policy check --help`: commander accepts only one word after `help`. */
function helpAsOption(args: readonly string[]): readonly string[] {
  return args[0] === 'help' && args.length > 2 ? [...args.slice(1), '--help'] : args;
}

/** @throws UsageError */
function parseSocket(path: string): string {
  if (path === '') throw new UsageError('--socket: the path is empty');
  return path;
}

async function programFor(args: readonly string[]): Promise<Command> {
  const program = new Command('perfbroker')
    .description('Profile with Linux perf events without privilege, through a broker that applies a policy.')
    .version(VERSION, '-V, --version', 'print the version')
    .option(
      '--socket <PATH>',
      'socket of the broker (default: $PERFBROKER_SOCKET, else /run/perfbroker/broker.sock)',
      parseSocket,
    )
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [COMMAND]', 'print the help of a command')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: print,
      writeErr: printError,
      outputError: (text, write) => {
        write(text.replace(/^error: /, 'perfbroker: '));
      },
    })
    .configureHelp({ commandUsage })
    .showHelpAfterError('See perfbroker --help.')
    .addHelpText('after', EPILOGUE);
  const chosen = commandOf(args);
  for (const [name, { summary, alias, load }] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(summary);
    if (alias !== undefined) command.alias(alias);
    // Accepted before and after the command's name; help shows it once.
    command.addOption(new Option('--socket <PATH>').argParser(parseSocket).hideHelp());
    if (chosen === name || (alias !== undefined && chosen === alias)) (await load()).define(command);
    for (const each of [command, ...command.commands])
      each.showHelpAfterError(`See perfbroker ${each === command ? name : `${name} ${each.name()}`} --help.`);
  }
  return program;
}

/** Usage of a command under its own name: commander adds an alias to it, as `report|top`. */
function commandUsage(command: Command): string {
  return `${fullName(command)} ${command.usage()}`;
}

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

/** Finds the command's name before commander parses the arguments, so that only its module is loaded. */
function commandOf(args: readonly string[]): string | undefined {
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (arg === '--socket') index++;
    else if (!arg.startsWith('-') && arg !== 'help') return arg;
  }
  return undefined;
}
