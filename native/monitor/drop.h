// Giving up privileges for good, and the proof from /proc that it happened.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace perfbroker {

struct Privileges {
  const char* part;  // for messages: "opener"
  bool change_ids;   // false: started without CAP_SETUID and CAP_SETGID, ids and groups stay
  uid_t real_uid, effective_uid, saved_uid;
  gid_t gid;
  uint64_t keep;  // capability bits, permitted and effective
};

// For the calling process, which must be single-threaded: bounding set, securebits, groups, ids, ambient,
// inheritable, permitted and effective sets, no_new_privs, no core dump, not dumpable. False when one step failed, which
// it has reported: the process must not go on.
bool drop_privileges(const Privileges& privileges);

// Reads every thread's status and compares; a seccomp filter must be in force by now. False names thread and
// difference on stderr. `proc_dir`: /proc.
bool prove_privileges(const Privileges& privileges, int proc_dir);

}  // namespace perfbroker
