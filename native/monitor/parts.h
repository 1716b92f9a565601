// Starting the opener and the broker: fork, drop, prove, run.
#pragma once

#include "core/wasm_option.h"
#include "monitor/drop.h"
#include "monitor/filters.h"
#include "monitor/listener.h"
#include "opener/opener.h"

namespace perfbroker {

// A child. It sends one byte on its channel when its proof held (0), or the code to exit with. The
// broker then waits for one byte before it executes node, which sends a second 0 when it heeds
// signals.
struct Part {
  const char* name = nullptr;
  pid_t pid = -1;
  UniqueFd channel = {};
};

// The next byte on a channel; -1 is end of file.
inline int receive_byte(int channel) {
  unsigned char byte;
  return read(channel, &byte, 1) == 1 ? byte : -1;
}

inline bool send_byte(int channel, int value) {
  const auto byte = static_cast<unsigned char>(value);
  return write(channel, &byte, 1) == 1;
}

[[noreturn]] inline void exit_with(int channel, ExitCode code) {
  _exit((send_byte(channel, code), code));
}

// Forks; the child runs `body(channel, its parent's pid)` and never returns.
template <typename Body>
Part start_part(const char* name, Body body) {
  int ends[2] = {-1, -1};
  const pid_t monitor = getpid();
  const pid_t pid = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? fork() : -1;
  if (pid == 0) body(ends[1], monitor);
  if (ends[1] >= 0) close(ends[1]);
  return {name, pid, UniqueFd(ends[0])};
}

// Puts fds at 3, 4, … in this order (-1 leaves the number free) and closes every other one but 0, 1
// and 2.
inline bool arrange_fds(std::span<int> fds) {
  constexpr int first = 3, parking = 64;
  for (int& fd : fds) {
    if (fd >= 0 && (fd = fcntl(fd, F_DUPFD_CLOEXEC, parking)) < 0) return false;
  }
  for (int number = first; int& fd : fds) {
    if (fd >= 0 && dup2(fd, number) < 0) return false;
    if (fd < 0) close(number);
    fd = number++;
  }
  return syscall(SYS_close_range, first + fds.size(), ~0u, 0) == 0;
}

// A child's first half: until here it has only what its parent had. Ends the process when a step
// fails.
inline void drop_and_confine(
    const Privileges& p, int channel, int proc_dir, pid_t monitor, int (*install_filter)()) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  setsid();  // a terminal's Ctrl-C is for the monitor, which ends the parts in order
  umask(077);
  // A change of ids clears the parent-death signal, so it comes after. It is sent with the dying
  // monitor's rights, whose ids are chosen for it (main.cc).
  if (!drop_privileges(p) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    exit_with(channel, kProof);
  if (getppid() != monitor) _exit(kPartDied);
  if (install_filter() != 0 || !prove_privileges(p, proc_dir)) exit_with(channel, kProof);
  if (!send_byte(channel, 0)) _exit(kPartDied);
}

// A compromised worker must not fill the machine. The helper itself and the monitor count as well.
// Where all parts run under one user, that user has others.
inline void limit_processes(const Privileges& p, rlim_t workers) {
  const rlimit processes{workers + 2, workers + 2};
  if (p.change_ids) setrlimit(RLIMIT_NPROC, &processes);
}

[[noreturn]] inline void run_opener(
    const Privileges& p, OpenerConfig config, int channel, pid_t monitor) {
  int fds[] = {config.socket, config.proc_dir, channel};
  if (!arrange_fds(fds)) _exit(kStartup);
  config.socket = fds[0];
  config.proc_dir = fds[1];
  prctl(PR_SET_NAME, "pb-opener", 0, 0, 0);
  // One request has 253 events and as many status files. What all workers together have sent, and
  // the broker has not read, counts as well (unix_inflight in net/unix/garbage.c): 64 requests, as
  // many as the broker has under way beside late ones.
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max = std::min<rlim_t>(files.rlim_max, 64 * 256);
  setrlimit(RLIMIT_NOFILE, &files);
  Workers workers(Workers::kMost);
  limit_processes(p, Workers::kMost);
  clearenv();
  // The signals that the monitor handles stay blocked: the opener ends when its broker has.
  drop_and_confine(p, fds[2], fds[1], monitor, install_opener_filter);
  close(fds[2]);
  _exit(serve(config, workers));
}

struct BrokerStart {
  int fds[5];          // listener, opener, audit, tracepoints, tracer; -1: none
  int root, proc_dir;  // directories: the install root, /proc
  const std::string& policy;
  std::vector<std::string> argv;  // argv[1] becomes wasm_option's
};

inline bool is_readable(const char* path) {
  if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0) return true;
  log_error(
      "the broker's user (uid %u) can not read %s: %s", geteuid(), path, strerrordesc_np(errno));
  return false;
}

[[noreturn]] inline void run_broker(
    const Privileges& p, const BrokerStart& s, int channel, pid_t monitor) {
  int fds[] = {s.fds[0], s.fds[1], s.fds[2], s.fds[3], s.fds[4], channel, s.proc_dir};
  if (fchdir(s.root) != 0 || !arrange_fds(fds)) _exit(kStartup);
  // All but what it is given, the channel included.
  for (const int fd : std::span(fds).subspan(std::size(s.fds) + 1)) fcntl(fd, F_SETFD, FD_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  drop_and_confine(p, fds[5], fds[6], monitor, install_broker_filter);
  // Now the monitor listens for a code, and only for that.
  if (receive_byte(fds[5]) < 0) _exit(kPartDied);
  if (!is_readable("dist/broker/main.js") ||
      !is_readable(s.policy.empty() ? "." : s.policy.c_str()))
    exit_with(fds[5], kStartup);
  std::vector<const char*> argv;
  for (const std::string& argument : s.argv) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  // Of the environment only what systemd says to a service, as it stands there: NAME=value.
  const char *environment[10] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/"},
             **next = std::ranges::find(environment, nullptr);
  for (const std::string_view name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
           "LISTEN_FDS", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY"}) {
    if (const char* value = getenv(name.data())) *next++ = value - name.size() - 1;
  }
  // The search goes by the starter's PATH, which is still this process's.
  for (const char* node : {argv[0], "/usr/bin/node", "/usr/local/bin/node"}) {
    argv[1] = wasm_option(node, const_cast<char* const*>(environment));
    execvpe(node, const_cast<char* const*>(argv.data()), const_cast<char* const*>(environment));
    log_error("%s can not be executed by uid %u: %s", node, geteuid(), strerrordesc_np(errno));
    if (strchr(argv[0], '/') != nullptr) break;  // --node, and nothing else
  }
  exit_with(fds[5], kStartup);
}

}  // namespace perfbroker
