/**
 * Imported before any file that uses `using`: Node.js has these symbols from 20.4 on, and the package accepts every 20.
 * TypeScript compiles the statement itself.
 */
const symbols: { dispose?: symbol; asyncDispose?: symbol } = Symbol;
symbols.dispose ??= Symbol('Symbol.dispose');
symbols.asyncDispose ??= Symbol('Symbol.asyncDispose');
