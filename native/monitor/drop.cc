#include "monitor/drop.h"

#include <linux/seccomp.h>

#include "core/caps.h"
#include "core/log.h"

namespace perfbroker {

namespace {

bool prove_ids(const Privileges& p, int tid, const TaskStatus& s) {
  const struct {
    const char* name;
    uint64_t found, wanted;
  } facts[] = {{"NoNewPrivs", s.no_new_privs, 1}, {"Seccomp", s.seccomp, SECCOMP_MODE_FILTER},
      {"real uid", s.uid[0], p.real_uid}, {"effective uid", s.uid[1], p.effective_uid},
      {"saved uid", s.uid[2], p.saved_uid}, {"file system uid", s.uid[3], p.effective_uid},
      {"real gid", s.gid[0], p.gid}, {"effective gid", s.gid[1], p.gid},
      {"saved gid", s.gid[2], p.gid}, {"file system gid", s.gid[3], p.gid},
      {"supplementary groups", p.change_ids ? s.group_count : 0, 0}};
  for (const auto& fact : facts) {
    if (fact.found == fact.wanted) continue;
    log_error("proof failed: thread %d of the %s: %s: %lu instead of %lu", tid, p.process,
        fact.name, fact.found, fact.wanted);
    return false;
  }
  return true;
}

bool prove_capabilities(const Privileges& p, int tid, const TaskStatus& s) {
  constexpr const char* names[] = {"inheritable", "permitted", "effective", "bounding", "ambient"};
  const uint64_t wanted[] = {0, p.keep, p.keep, p.seal ? 0 : s.caps[kBounding], 0};
  for (size_t set = 0; set < std::size(wanted); set++) {
    if (s.caps[set] == wanted[set]) continue;
    const auto first = static_cast<unsigned>(__builtin_ctzll(s.caps[set] ^ wanted[set]));
    log_error("proof failed: thread %d of the %s %s CAP_%s in its %s set", tid, p.process,
        (s.caps[set] & cap_bit(first)) != 0 ? "still has" : "lacks", cap_name(first), names[set]);
    return false;
  }
  return true;
}

int check(int result) { return result == 0 ? 0 : errno; }

}  // namespace

bool drop_privileges(const Privileges& p) {
  const rlimit none{0, 0};
  // The order counts; a braced list is evaluated left to right.
  const struct {
    const char* name;
    int error;
  } steps[] = {{"bounding set", p.seal ? empty_bounding() : 0},
      {"securebits", p.seal ? lock_securebits() : check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))},
      {"supplementary groups", p.change_ids ? check(setgroups(0, nullptr)) : 0},
      {"gids", p.change_ids ? check(setresgid(p.gid, p.gid, p.gid)) : 0},
      {"uids", p.change_ids ? check(setresuid(p.real_uid, p.effective_uid, p.saved_uid)) : 0},
      {"ambient set", clear_ambient()}, {"capability sets", set_caps({p.keep, p.keep, 0})},
      {"keep-capabilities flag", p.seal ? 0 : check(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))},
      {"no_new_privs", check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))},
      {"core dumps", check(setrlimit(RLIMIT_CORE, &none))},
      {"dumpable flag", check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))}};
  for (const auto& step : steps) {
    if (step.error == 0) continue;
    log_error(
        "the %s could not drop its %s: %s", p.process, step.name, strerrordesc_np(step.error));
    return false;
  }
  return true;
}

bool prove_privileges(const Privileges& p, int proc_dir) {
  const UniqueFd tasks(openat(proc_dir, "self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  pid_t tid = 0;
  if (list_tasks(tasks.get(), std::span(&tid, 1)) != 1) {
    log_error("proof failed: the %s does not have exactly one readable thread", p.process);
    return false;
  }
  char path[32];
  snprintf(path, sizeof path, "%d/status", tid);
  const UniqueFd file(openat(tasks.get(), path, O_RDONLY | O_CLOEXEC));
  TaskStatus status;
  if (!read_status(file.get(), status)) {
    log_error("proof failed: thread %d of the %s is unreadable", tid, p.process);
    return false;
  }
  return prove_ids(p, tid, status) && prove_capabilities(p, tid, status);
}

}  // namespace perfbroker
