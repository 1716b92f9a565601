// Giving up privileges for good, and the proof from /proc that it happened.
#pragma once

#include <linux/seccomp.h>

#include "core/caps.h"
#include "core/log.h"
#include "core/proc.h"

namespace perfbroker {

// part: for messages: "opener". change_ids: false when started without CAP_SETUID and CAP_SETGID:
// groups stay, too. seal: CAP_SETPCAP was held: bounding set and securebits can be changed, else
// no_new_privs seals them. keep: capability bits, permitted and effective.
struct Privileges {
  const char* part;
  bool change_ids, seal;
  uid_t real_uid, effective_uid, saved_uid;
  gid_t gid;
  uint64_t keep;
};

// For the calling process, which must be single-threaded. False when a step failed, which it has
// reported: the process must not go on.
inline bool drop_privileges(const Privileges& p) {
  const auto check = [](int result) { return result == 0 ? 0 : errno; };
  const rlimit none{0, 0};
  const struct {
    const char* name;
    int error;
  } steps[] = {// in this order: a braced list is evaluated left to right
      {"bounding set", p.seal ? empty_bounding() : 0},
      {"securebits", p.seal ? lock_securebits() : check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))},
      {"supplementary groups", p.change_ids ? check(setgroups(0, nullptr)) : 0},
      {"gids", p.change_ids ? check(setresgid(p.gid, p.gid, p.gid)) : 0},
      {"uids", p.change_ids ? check(setresuid(p.real_uid, p.effective_uid, p.saved_uid)) : 0},
      {"ambient set", clear_ambient()}, {"capability sets", set_caps({p.keep, p.keep, 0})},
      {"keep-capabilities flag", p.seal ? 0 : check(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))},
      {"no_new_privs", check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))},
      {"core dumps", check(setrlimit(RLIMIT_CORE, &none))},
      {"dumpable flag", check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))}};
  const auto* failed =
      std::ranges::find_if(steps, [](const auto& step) { return step.error != 0; });
  if (failed == std::end(steps)) return true;
  log_error(
      "the %s could not drop its %s: %s", p.part, failed->name, strerrordesc_np(failed->error));
  return false;
}

inline bool prove_thread(const Privileges& p, int tid, const TaskStatus& s) {
  const struct {
    const char* what;
    uint64_t found, wanted;
  } facts[] = {{"NoNewPrivs", s.no_new_privs, 1}, {"Seccomp", s.seccomp, SECCOMP_MODE_FILTER},
      {"real uid", s.uid[0], p.real_uid}, {"effective uid", s.uid[1], p.effective_uid},
      {"saved uid", s.uid[2], p.saved_uid}, {"file system uid", s.uid[3], p.effective_uid},
      {"real gid", s.gid[0], p.gid}, {"effective gid", s.gid[1], p.gid},
      {"saved gid", s.gid[2], p.gid}, {"file system gid", s.gid[3], p.gid},
      {"supplementary groups", p.change_ids ? s.group_count : 0, 0}};
  for (const auto& fact : facts) {
    if (fact.found == fact.wanted) continue;
    log_error("proof failed: thread %d of the %s: %s: %lu instead of %lu", tid, p.part, fact.what,
        fact.found, fact.wanted);
    return false;
  }
  constexpr const char* names[] = {"inheritable", "permitted", "effective", "bounding", "ambient"};
  const uint64_t wanted[] = {0, p.keep, p.keep, p.seal ? 0 : s.caps[kBounding], 0};
  for (size_t set = 0; set < std::size(wanted); set++) {
    if (s.caps[set] == wanted[set]) continue;
    const auto first = static_cast<unsigned>(__builtin_ctzll(s.caps[set] ^ wanted[set]));
    log_error("proof failed: thread %d of the %s %s CAP_%s in its %s set", tid, p.part,
        (s.caps[set] & cap_bit(first)) != 0 ? "still has" : "lacks", cap_name(first), names[set]);
    return false;
  }
  return true;
}

// Every thread's status, compared; a seccomp filter must be in force by now. False names thread and
// difference on stderr. `proc_dir`: /proc.
inline bool prove_privileges(const Privileges& p, int proc_dir) {
  const UniqueFd tasks(openat(proc_dir, "self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  alignas(dirent64) char entries[4096];
  unsigned proven = 0;
  for (ssize_t size; (size = getdents64(tasks.get(), entries, sizeof entries)) > 0;) {
    const dirent64* entry;
    for (ssize_t offset = 0; offset < size; offset += entry->d_reclen) {
      entry = reinterpret_cast<const dirent64*>(entries + offset);
      if (entry->d_name[0] == '.') continue;
      std::string_view name(entry->d_name);
      int tid = 0;
      take_number(name, tid);
      char path[32];
      snprintf(path, sizeof path, "%d/status", tid);
      const UniqueFd file(openat(tasks.get(), path, O_RDONLY | O_CLOEXEC));
      TaskStatus status;
      if (!read_status(file.get(), status))
        return log_error("proof failed: thread %d of the %s is unreadable", tid, p.part), false;
      if (!prove_thread(p, tid, status)) return false;
      proven++;
    }
  }
  if (proven != 1)
    log_error("proof failed: %u threads of the %s could be read instead of 1", proven, p.part);
  return proven == 1;
}

}  // namespace perfbroker
