import '../common/no_debugger.js';
import '../common/disposable.js';

// Imported only now: while the rest loads, SIGUSR1 would otherwise still open Node.js's debugger port.
const { main } = await import('./program.js');
await main(process.argv.slice(2));
