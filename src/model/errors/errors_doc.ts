/** docs/errors.md from the table; a test compares. `node dist/model/errors/errors_doc.js > docs/errors.md` writes it. */
import { argv, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';
import { ERROR_TABLE } from './error_table.js';
import { ERROR_NAMES, type ErrorName } from './errors.js';

const INTRODUCTIONS: Readonly<Record<ErrorName, string>> = {
  PolicyDenied:
    'The policy does not allow the request. `reasons` lists every reason with its own code and the rule it comes from.',
  CeilingExceeded:
    'The daemon was started without this class of events (`--ceiling`); no policy can allow it. The code is the class.',
  InvalidEvent: 'An event is not well formed. The message names the field or bit.',
  InvalidTarget: 'A target, cpu or ring is not well formed, or cannot be observed. The message names the field.',
  TargetGone: 'What was to be observed has ended.',
  TargetChanged:
    'The process behind the pid is not the one that was decided about any more. Whatever was opened has been closed. The code is the first thing that changed.',
  QuotaExceeded: 'A bound of the caller, or of the broker as a whole, is reached.',
  RateLimited: 'Too much in too short a time.',
  KernelRefused:
    "The kernel refused what policy had allowed. The code is the errno's name, `errno` its number; cause and remedy depend on the event.",
  DowngradeRefused:
    'No capability was taken, and the target goes on as it was. What stands against it is found before anything is changed.',
  DowngradeFailed:
    'Something was taken and something was not. What is gone does not come back; `processes` says, thread by thread, what each had and has. The message names the threads that kept something.',
  NoSuchGrant: 'The grant is not there, or not for the caller to touch.',
  UnexpectedFds: 'The fds that came along are not those that the request mentions. All fds of the message were closed.',
  AuditFailed: 'Nothing is handed over that could not be recorded.',
  Unavailable: 'The request may be in order; the broker cannot serve it now.',
};

/** The whole document. */
export function errorsDocument(): string {
  const sections = ERROR_NAMES.map((name) => {
    const rows = Object.entries(ERROR_TABLE[name]).map(
      ([code, { cause, remedy }]) => `| \`${code}\` | ${cell(cause)} | ${cell(remedy)} |`,
    );
    return [
      `## ${name}`,
      '',
      INTRODUCTIONS[name],
      '',
      '| code | cause | what to do |',
      '| --- | --- | --- |',
      ...rows,
    ].join('\n');
  });
  return `${HEAD}\n\n<!-- prettier-ignore-start -->\n\n${sections.join('\n\n')}\n\n<!-- prettier-ignore-end -->\n`;
}

const HEAD = `# Errors

<!-- Generated from src/model/errors/error_table.ts by \`node dist/model/errors/errors_doc.js\`; a test compares. -->

The errors of the interface are \`org.perfbroker.Broker.<name>\` and carry the same parameters: \`code\` (stable,
one of the tables below), \`message\` (what, in this very case), \`errno\` (the kernel's, 0 when there was none), \`cause\`
and \`remedy\`. Programs decide by name and code; message, cause and remedy are for people and may change.
[troubleshooting.md](troubleshooting.md) has the refusals that users meet, by situation.

The TypeScript library throws them as \`BrokerError\`, with the name (\`PolicyDenied\`) in \`error\` and the wire's \`cause\` in \`explanation\`, since the \`cause\` of a
JavaScript error is another error; what else the error carries, as \`reasons\`, is in \`details\`.

A call that is not as the interface declares it gets an error of \`org.varlink.service\` in their place, which has none of
these parameters. \`InvalidParameter\` has the path of the field in \`parameter\`: a field that does not exist, a wrong type,
a \`kind\` or another word that the interface does not list. An index that no fd of the message has, or that is mentioned twice,
gives it as well, with \`fds\` for the path. \`MethodNotFound\` and \`InterfaceNotFound\` are the others.`;

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) stdout.write(errorsDocument());
