import { commandParent } from './command_parent.js';
import { ExitCode } from './failure.js';

/**
 * Watches SIGINT, SIGTERM and SIGHUP, and the end of the parent. The first aborts the returned signal, the second exits at
 * once.
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
  const gone = commandParent()?.gone;
  gone?.addEventListener('abort', onSignal);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, onSignal);
      gone?.removeEventListener('abort', onSignal);
    },
  };
}
