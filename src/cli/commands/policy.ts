import type { Command } from 'commander';
import { escapeName } from '../../common/quote.js';
import { brokerAccount, obstacleFor } from '../../policy/check/broker_access.js';
import { checkPolicyFile } from '../../policy/check/check.js';
import { systemNames } from '../../policy/load/names.js';
import { ExitCode } from '../failure.js';
import { print, printError } from '../output.js';

const HELP = `
Needs neither a broker nor privilege. The exit code is 0 when the broker would accept the file: as root, the check also
opens it as the broker's user does (perfbroker, unless perfbrokerd --user names another). Other users only see its mode.

Example:
  perfbroker policy check /etc/perfbroker/policy.toml`;

export function define(command: Command): void {
  command
    .command('check')
    .description('check a policy file and its drop-ins with the code that the broker runs')
    .argument('<FILE>', 'policy file')
    .addHelpText('after', HELP)
    .action((file: string) => {
      const { ok, sources, summary, errors, warnings } = checkPolicyFile(
        file,
        systemNames,
        obstacleFor(brokerAccount(systemNames)),
      );
      const textOf = (lines: readonly string[], before = ''): string =>
        lines.map((line) => `${escapeName(before + line)}\n`).join('');
      print(textOf(summary));
      printError(textOf(warnings, 'warning: ') + textOf(errors, 'error: '));
      print(ok ? textOf([`${sources.join(', ')}: good`]) : '');
      process.exitCode = ok ? ExitCode.ok : ExitCode.failed;
    });
}
