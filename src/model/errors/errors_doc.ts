/** Writes docs/errors.md from the table: `node dist/model/errors/errors_doc.js > docs/errors.md`. A test compares them. */
import { argv, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';
import { ERROR_TABLE } from './error_table.js';
import { ERROR_NAMES, type ErrorName } from './errors.js';

const INTRODUCTIONS: Readonly<Record<ErrorName, string>> = {
  PolicyDenied: 'The policy does not allow the request. `reasons` lists every reason with its own code and its rule.',
  CeilingExceeded:
    'The daemon was started without this class of events (`--ceiling`), and no policy can allow it. The code is the class.',
  InvalidEvent: 'An event is not well formed. The message names the field or bit.',
  InvalidTarget: 'A target, cpu or ring is not well formed, or cannot be observed. The message names the field.',
  TargetGone: 'The target has ended.',
  TargetChanged:
    'The target changed after the decision, or its pid names another process. The broker closed everything that was opened. The code is the first difference.',
  QuotaExceeded: 'The caller, or the broker as a whole, has reached a limit.',
  RateLimited: 'The caller sent too many requests in too short a time.',
  KernelRefused:
    'The kernel refused a request that the policy allows, or the broker has no room for another fd. The code is the name of the errno, `errno` its number; cause and remedy depend on the event.',
  DowngradeRefused:
    'No capability was taken, and the target continues unchanged. The tracer checks everything before it changes anything.',
  DowngradeFailed:
    'Some capabilities were taken and others were not. Taken capabilities do not return; `processes` lists, for each thread, the sets before and after. The message names the threads that kept a capability.',
  NoSuchGrant: 'There is no such grant or ticket for this caller.',
  UnexpectedFds: 'The fds of the message are not those that the request mentions. The broker closed all of them.',
  AuditFailed: 'The broker hands over no event whose decision it could not record.',
  Unavailable: 'The broker cannot serve the request now.',
};

/** Text of the document. */
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

The errors of the interface are \`org.perfbroker.Broker.<name>\`. All have the same parameters: \`code\` (stable, from the
tables below), \`message\` (this case), \`errno\` (of the kernel; 0 without one), \`cause\` and \`remedy\`. Programs decide by
name and code. Message, cause and remedy are for people and may change; the remedy of a reply may be more precise than the table's.
[troubleshooting.md](troubleshooting.md) has the refusals that users meet, by situation.

The TypeScript library throws them as \`BrokerError\`. \`error\` has the name (\`PolicyDenied\`), \`explanation\` the \`cause\`, because
the \`cause\` of a JavaScript error is another error. \`details\` has further parameters, such as \`reasons\`.

A call that does not match the interface definition gets an error of \`org.varlink.service\` instead, without these
parameters. \`InvalidParameter\` has the path of the field in \`parameter\`: a field that does not exist, a wrong type, or a
name that the interface does not list. The path is \`fds\` for an index that is used twice or has no fd in the message.
\`MethodNotFound\` and \`InterfaceNotFound\` are the others.`;

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) stdout.write(errorsDocument());
