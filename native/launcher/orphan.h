// A process of the launcher's that is not a child of CMD.
#pragma once

namespace perfbroker {

// Forks a process that runs body(argument) as a child not of this process but of init (or a
// subreaper's): wait(2) in CMD returns nothing that CMD did not fork, and no SIGCHLD is pending
// there. body does not return. 0, or errno.
int fork_orphan(void (*body)(void*), void* argument);

}  // namespace perfbroker
