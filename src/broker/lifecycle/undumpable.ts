/**
 * Evaluated before any other module of the broker: another process of its uid cannot open its memory from here on
 * (ptrace(2), "access mode checking"). perfbrokerd also sets the flag, but execve(2) of node undoes it.
 *
 * Files of /proc/self belong to root then. A process passes the check on itself, so /proc/self/fd and fdinfo (Linux 5.14) stay
 * readable.
 */
import { native } from '../../native.js';

native.makeUndumpable();
