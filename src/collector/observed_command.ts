/** A command that does not run yet: its process exists, so that events can be opened on it. */
export interface ObservedCommand {
  readonly pid: number;
  /** Exit code, as far as it is known here. */
  readonly exited: Promise<number>;
  /** 0 when the command was executed, else the errno of the failure. Known at the latest when the command has exited. */
  readonly executed: Promise<number>;
  /** Lets the command run. */
  release(): void;
}
