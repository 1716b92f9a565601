/**
 * Imported first by every program: node opens a debugger's port on SIGUSR1, on which any local user could run code as
 * this process's. It does not when somebody else takes the signal (--disable-sigusr1 is for later versions of node). Taken
 * and ignored, not fatal: a recording that somebody's script signals by mistake goes on.
 */
process.on('SIGUSR1', () => undefined);
