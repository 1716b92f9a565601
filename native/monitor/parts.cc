#include "monitor/parts.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "monitor/exit_codes.h"
#include "monitor/filters.h"
#include "monitor/say.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif

namespace perfbroker {

namespace {

constexpr int kFirstFd = 3;
constexpr int kParking = 64;

constexpr char kProgram[] = "dist/broker/main.js";

// Relative to the working directory, which was chosen as root: no right on the directories above it is needed.
constexpr char kProgramThroughCwd[] = "/proc/self/cwd/dist/broker/main.js";

[[noreturn]] void give_up(int status_fd, ExitCode code) {
  const char byte = static_cast<char>(code);
  [[maybe_unused]] const ssize_t written = write(status_fd, &byte, 1);
  _exit(code);
}

// Puts fds at 3, 4, … in this order (-1 leaves the number free) and closes every other one but 0, 1 and 2.
bool arrange_fds(std::span<int> fds) {
  const int end = kFirstFd + static_cast<int>(fds.size());
  for (int& fd : fds) {
    if (fd >= 0 && (fd = fcntl(fd, F_DUPFD_CLOEXEC, kParking)) < 0) return false;
  }
  int number = kFirstFd;
  for (const int fd : fds) {
    if (fd >= 0 && dup2(fd, number) < 0) return false;
    if (fd < 0) close(number);
    number++;
  }
  return syscall(SYS_close_range, end, ~0u, 0) == 0;
}

// What fork and exec would hand down from whoever started the daemon.
void reset_signals() {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The child's first half: until here it has only what its parent had. Ends the process when a step fails.
void become(const Privileges& p, int status_fd, int proc_dir, pid_t monitor, int (*install_filter)()) {
  reset_signals();
  umask(077);
  bool good = drop_privileges(p);
  // A change of ids clears the parent-death signal, so it comes after. The signal is sent with the dying monitor's
  // rights, whose ids are chosen for it (main.cc).
  good = good && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0;
  if (good && getppid() != monitor) _exit(kExitPartDied);
  if (const int error = good ? install_filter() : 0) {
    say("the %s could not install its system call filter: %s", p.part, strerrordesc_np(error));
    good = false;
  }
  if (!good || !prove_privileges(p, proc_dir)) give_up(status_fd, kExitProof);
  const char proven = 0;
  if (write(status_fd, &proven, 1) != 1) _exit(kExitPartDied);
}

struct Pipe {
  UniqueFd read, write;
};

Pipe make_pipe() {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) say("pipe2: %s", strerrordesc_np(errno));
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

[[noreturn]] void run_opener(const Privileges& p, OpenerConfig config, int status_fd, pid_t monitor) {
  prctl(PR_SET_NAME, "pb-opener", 0, 0, 0);
  int fds[] = {config.socket, config.proc_dir, status_fd};
  if (!arrange_fds(fds)) _exit(kExitStartup);
  config.socket = kFirstFd;
  config.proc_dir = kFirstFd + 1;
  status_fd = kFirstFd + 2;
  // One request may hold 253 events and as many status files at a time.
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 1024);
  setrlimit(RLIMIT_NOFILE, &files);
  clearenv();
  become(p, status_fd, config.proc_dir, monitor, install_opener_filter);
  close(status_fd);
  _exit(announce(config) ? serve(config) : 0);
}

// As the broker's own user.
bool is_readable(const char* path, const char* name) {
  if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0) return true;
  say("the broker's user (uid %u) can not read %s: %s", geteuid(), name, strerrordesc_np(errno));
  return false;
}

[[noreturn]] void run_broker(const Privileges& p, const BrokerFds& given, const char* node,
                             const std::vector<std::string>& arguments, const std::string& policy, int status_fd, int go_fd,
                             pid_t monitor) {
  if (fchdir(given.root) != 0) _exit(kExitStartup);
  int fds[] = {given.listener, given.opener, given.audit, given.tracepoints, status_fd, go_fd, given.node, given.proc_dir};
  constexpr int first_private = kFirstFd + 4;
  if (!arrange_fds(fds) || syscall(SYS_close_range, first_private, ~0u, CLOSE_RANGE_CLOEXEC) != 0) _exit(kExitStartup);
  status_fd = first_private;
  go_fd = first_private + 1;
  const int node_fd = first_private + 2;
  become(p, status_fd, first_private + 3, monitor, install_broker_filter);
  if (!is_readable(kProgram, kProgram) || (!policy.empty() && !is_readable(policy.c_str(), policy.c_str()))) {
    give_up(status_fd, kExitStartup);
  }

  std::vector<const char*> argv = {node, "--disable-proto=delete", "--disallow-code-generation-from-strings",
                                   "--preserve-symlinks", "--preserve-symlinks-main", kProgramThroughCwd};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  const char* environment[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/", nullptr};
  char go;
  if (read(go_fd, &go, 1) != 1) _exit(kExitPartDied);
  // By its path; through the fd that was opened as root when the path leads through a directory closed to this user.
  execve(node, const_cast<char* const*>(argv.data()), const_cast<char* const*>(environment));
  syscall(SYS_execveat, node_fd, "", argv.data(), environment, AT_EMPTY_PATH);
  say("%s can not be executed by uid %u: %s", node, geteuid(), strerrordesc_np(errno));
  give_up(status_fd, kExitStartup);
}

}  // namespace

int read_status_byte(const Part& part) {
  unsigned char byte;
  ssize_t got;
  do {
    got = read(part.status.get(), &byte, 1);
  } while (got < 0 && errno == EINTR);
  return got == 1 ? byte : -1;
}

Part start_opener(const Privileges& privileges, const OpenerConfig& config) {
  Pipe status = make_pipe();
  const pid_t monitor = getpid();
  const pid_t pid = fork();
  if (pid == 0) run_opener(privileges, config, status.write.get(), monitor);
  return {"opener", pid, std::move(status.read), {}};
}

Part start_broker(const Privileges& privileges, const BrokerFds& fds, const std::string& node,
                  const std::vector<std::string>& arguments, const std::string& policy) {
  Pipe status = make_pipe();
  Pipe go = make_pipe();
  const pid_t monitor = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    run_broker(privileges, fds, node.c_str(), arguments, policy, status.write.get(), go.read.get(), monitor);
  }
  return {"broker", pid, std::move(status.read), std::move(go.write)};
}

}  // namespace perfbroker
