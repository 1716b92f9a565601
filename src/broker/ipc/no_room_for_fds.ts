/** The answer came, but its fds did not fit into this process: the kernel has closed those that did not fit, and this side the rest. */
export class NoRoomForFds extends Error {
  override readonly name = 'NoRoomForFds';

  constructor() {
    super('the fds of the answer did not fit');
  }
}
