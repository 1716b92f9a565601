/** The answer came, and its fds found no room in this process: the kernel has closed what did not fit, and this side the rest. */
export class NoRoomForFds extends Error {
  override readonly name = 'NoRoomForFds';

  constructor() {
    super('the fds of the answer did not fit');
  }
}
