/** The text for a process that has reached its limit of open files. This module imports no other: each needs an fd to load. */

/** Node.js raises its soft limit to the hard one. */
interface Limits {
  readonly userLimits?: { readonly open_files?: { readonly soft: number | string } };
}

/** @returns undefined when this is another error */
export function tooManyFiles(error: unknown): { readonly message: string; readonly remedy: string } | undefined {
  if (!(error instanceof Error && 'code' in error && error.code === 'EMFILE')) return undefined;
  // A report reads the limit by getrlimit(2). /proc/self/limits would need an fd.
  const { userLimits } = process.report.getReport() as unknown as Limits;
  return {
    message: `too many open files; the limit is ${userLimits?.open_files?.soft ?? 'unknown'}`,
    remedy:
      'Raise the limit in this shell, for example `ulimit -n 1024`. A hard limit that is lower is for the administrator to raise.',
  };
}
