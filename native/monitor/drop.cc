#include "monitor/drop.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "core/caps.h"
#include "core/proc.h"
#include "monitor/say.h"

namespace perfbroker {

namespace {

bool bounding_emptied = false;

int check(int result) { return result == 0 ? 0 : errno; }

int drop_ids(const Privileges& p) {
  if (!p.change_ids) return 0;
  if (setgroups(0, nullptr) != 0 || setresgid(p.gid, p.gid, p.gid) != 0) return errno;
  return check(setresuid(p.real_uid, p.effective_uid, p.saved_uid));
}

int seal_bounding(uint64_t permitted) {
  // Without CAP_SETPCAP neither can be changed: no_new_privs seals what is left of them.
  if ((permitted & cap_bit(CAP_SETPCAP)) == 0) return check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
  bounding_emptied = true;
  const int error = empty_bounding();
  return error != 0 ? error : lock_securebits();
}

int limit_core() {
  const rlimit none{0, 0};
  return check(setrlimit(RLIMIT_CORE, &none));
}

// One capability set of one thread against what it may be.
bool prove_set(const Privileges& p, int tid, const char* set, uint64_t found, uint64_t allowed) {
  if (found == allowed) return true;
  const uint64_t surplus = found & ~allowed;
  const uint64_t difference = surplus != 0 ? surplus : allowed & ~found;
  say("proof failed: thread %d of the %s %s %s in its %s set", tid, p.part, surplus != 0 ? "still has" : "lacks",
      cap_name(static_cast<unsigned>(__builtin_ctzll(difference))), set);
  return false;
}

bool prove_ids(const Privileges& p, int tid, const TaskStatus& s) {
  const uint32_t uids[4] = {p.real_uid, p.effective_uid, p.saved_uid, p.effective_uid};
  const uint32_t gids[4] = {p.gid, p.gid, p.gid, p.gid};
  if (memcmp(s.uid, uids, sizeof uids) != 0 || (p.change_ids && memcmp(s.gid, gids, sizeof gids) != 0)) {
    say("proof failed: thread %d of the %s runs as uid %u,%u,%u gid %u,%u,%u", tid, p.part, s.uid[0], s.uid[1], s.uid[2],
        s.gid[0], s.gid[1], s.gid[2]);
    return false;
  }
  if (p.change_ids && s.group_count != 0) {
    say("proof failed: thread %d of the %s has %u supplementary groups", tid, p.part, s.group_count);
    return false;
  }
  return true;
}

bool prove_thread(const Privileges& p, int tid, const TaskStatus& s) {
  if (s.no_new_privs != 1 || s.seccomp != SECCOMP_MODE_FILTER) {
    say("proof failed: thread %d of the %s has NoNewPrivs %u, Seccomp %u", tid, p.part, s.no_new_privs, s.seccomp);
    return false;
  }
  return prove_ids(p, tid, s) && prove_set(p, tid, "permitted", s.permitted, p.keep) &&
         prove_set(p, tid, "effective", s.effective, p.keep) && prove_set(p, tid, "inheritable", s.inheritable, 0) &&
         prove_set(p, tid, "ambient", s.ambient, 0) && (!bounding_emptied || prove_set(p, tid, "bounding", s.bounding, 0));
}

}  // namespace

bool drop_privileges(const Privileges& p) {
  Result<CapSets> held = get_caps();
  if (!held) return false;
  struct Step {
    const char* name;
    int error;
  };
  // In this order; a braced list is evaluated from left to right.
  const Step steps[] = {
      {"bounding set and securebits", seal_bounding(held->permitted)},
      {"groups, gids and uids", drop_ids(p)},
      {"ambient set", clear_ambient()},
      {"capability sets", set_caps({p.keep, p.keep, 0})},
      {"keep-capabilities flag", bounding_emptied ? 0 : check(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))},
      {"no_new_privs", check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))},
      {"core dumps", limit_core()},
      {"dumpable flag", check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))},
  };
  for (const Step& step : steps) {
    if (step.error == 0) continue;
    say("the %s could not drop its privileges (%s): %s", p.part, step.name, strerrordesc_np(step.error));
    return false;
  }
  return true;
}

bool prove_privileges(const Privileges& p, int proc_dir) {
  const UniqueFd tasks(openat(proc_dir, "self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  alignas(dirent64) char entries[4096];
  unsigned proven = 0;
  for (;;) {
    const ssize_t size = getdents64(tasks.get(), entries, sizeof entries);
    if (size == 0) break;
    if (size < 0) {
      say("proof failed: the threads of the %s can not be listed: %s", p.part, strerrordesc_np(errno));
      return false;
    }
    for (ssize_t offset = 0; offset < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + offset);
      offset += entry->d_reclen;
      if (entry->d_name[0] == '.') continue;
      int tid = 0;
      sscanf(entry->d_name, "%d", &tid);
      char path[32];
      snprintf(path, sizeof path, "%d/status", tid);
      const UniqueFd file(openat(tasks.get(), path, O_RDONLY | O_CLOEXEC));
      Result<TaskStatus> status = read_status(file.get());
      if (!status) {
        say("proof failed: thread %d of the %s can not be read: %s", tid, p.part, strerrordesc_np(status.error().number));
        return false;
      }
      if (!prove_thread(p, tid, *status)) return false;
      proven++;
    }
  }
  if (proven == 1) return true;
  say("proof failed: the %s has %u threads", p.part, proven);
  return false;
}

}  // namespace perfbroker
