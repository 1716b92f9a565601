import '../common/no_debugger.js';

// Before the rest, which may need more fds than this process may have.
const { tooManyFiles } = await import('./too_many_files.js');
try {
  // Imported only now: while the rest loads, SIGUSR1 would otherwise still open Node.js's debugger port.
  await import('../common/disposable.js');
  const { main } = await import('./program.js');
  await main(process.argv.slice(2));
} catch (error) {
  const limit = tooManyFiles(error);
  if (limit === undefined) throw error;
  const { writeSync } = await import('node:fs');
  writeSync(2, `perfbroker: ${limit.message}\n  what to do: ${limit.remedy}\n`);
  process.exitCode = 1;
}
