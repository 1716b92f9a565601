import { ExitCode } from './failure.js';

/**
 * The first SIGINT, SIGTERM or SIGHUP ends what runs in order, the second quits at once.
 * @param onQuit is called before that, to remove what must not stay; it must not wait.
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
