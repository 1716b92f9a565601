import { ExitCode } from './failure.js';

/**
 * Watches SIGINT, SIGTERM and SIGHUP. The first aborts the returned signal, the second exits at once.
 * @param onQuit called before the exit, to remove files; it must not wait
 */
export function watchInterrupts(onQuit: () => void = () => undefined): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) {
      onQuit();
      process.exit(ExitCode.interrupted);
    }
    controller.abort();
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
