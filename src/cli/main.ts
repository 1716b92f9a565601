import '../common/no_debugger.js';

// Only now: what the rest needs to load is time in which the signal would still be node's.
const { main } = await import('./program.js');
await main(process.argv.slice(2));
