/**
 * Imported first by every program: node opens a debugger's port on SIGUSR1, on which any local user could run code as
 * this process. A handler of our own prevents that (--disable-sigusr1 is only in later versions of node). The signal is
 * ignored, not fatal: a recording that a script signals by mistake continues.
 */
process.on('SIGUSR1', () => undefined);
