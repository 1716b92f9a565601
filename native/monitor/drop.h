// Dropping privileges for good, and the proof from /proc that they are gone.
#pragma once

#include "core/proc.h"

namespace perfbroker {

// The privileges that a process keeps. process: its name in messages. change_ids: CAP_SETUID and
// CAP_SETGID are held; otherwise the groups stay as well. seal: CAP_SETPCAP is held, so that
// bounding set and securebits can change; otherwise no_new_privs seals them. keep: capability bits,
// permitted and effective.
struct Privileges {
  const char* process;
  bool change_ids, seal;
  uid_t real_uid, effective_uid, saved_uid;
  gid_t gid;
  uint64_t keep;
};

// For the calling process, which must be single-threaded. False when a step failed, which it has
// reported: the process must not go on.
bool drop_privileges(const Privileges& privileges);

// Compares the status of the only thread with `privileges`; a seccomp filter must be in force by
// now. False when they differ, which it has reported. `proc_dir`: /proc.
bool prove_privileges(const Privileges& privileges, int proc_dir);

}  // namespace perfbroker
