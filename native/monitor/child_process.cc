#include "monitor/child_process.h"

#include "core/log.h"

namespace perfbroker {

int receive_byte(int channel) {
  unsigned char byte;
  return read(channel, &byte, 1) == 1 ? byte : -1;
}

bool send_byte(int channel, int value) {
  const auto byte = static_cast<unsigned char>(value);
  return write(channel, &byte, 1) == 1;
}

void exit_with(int channel, ExitCode code, const char* failed) {
  if (failed != nullptr) log_error("%s: %s", failed, strerrordesc_np(errno));
  send_byte(channel, code);
  _exit(code);
}

bool arrange_fds(std::span<int> fds) {
  constexpr int first = 3;
  for (int& fd : fds) {
    if (fd < 0) continue;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, kParking);
    if (fd < 0) return false;
  }
  for (int number = first; int& fd : fds) {
    if (fd >= 0 && dup2(fd, number) < 0) return false;
    if (fd < 0) close(number);
    fd = number++;
  }
  return syscall(SYS_close_range, first + fds.size(), ~0u, 0) == 0;
}

void drop_and_confine(
    const Privileges& p, int channel, int proc_dir, pid_t monitor, int (*install_filter)()) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  setsid();  // Ctrl-C of a terminal reaches the monitor alone, which ends the others in order
  umask(077);
  // A change of ids clears the parent-death signal, so it comes after. The kernel sends it with the
  // rights of the dying monitor, whose ids are chosen for it (main.cc).
  if (!drop_privileges(p) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    exit_with(channel, kProof);
  if (getppid() != monitor) _exit(kHelperDied);
  if (install_filter() != 0 || !prove_privileges(p, proc_dir)) exit_with(channel, kProof);
  if (!send_byte(channel, 0)) _exit(kHelperDied);
}

}  // namespace perfbroker
