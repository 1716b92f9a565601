// The filters and the proof, in child processes.
#include "monitor/broker_process.h"

#include <sys/mman.h>

#include "monitor/supervise.h"
#include "test/processes.h"

using namespace harness;

namespace {

// The child's exit code, or minus the signal that killed it.
int in_child(const std::function<void()>& body) {
  Child child([&body](int) { body(); });
  return child.wait();
}

// Text that a child writes to stderr while `body` runs.
std::string stderr_of(const std::function<void()>& body) {
  int ends[2];
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  Child child([&](int) {
    dup2(ends[1], STDERR_FILENO);
    body();
  });
  close(ends[1]);
  std::string text;
  char buffer[512];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(got));
  close(ends[0]);
  return text;
}

int confined(int (*install)(), const std::function<void()>& body) {
  return in_child([&] {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (install() != 0) _exit(99);
    body();
    syscall(SYS_exit_group, 42);
  });
}

constexpr Privileges kNothing{"test", true, true, 60123, 60124, 60123, 60125, 0};

}  // namespace

TEST("the opener's filter kills for every call that it does not need") {
  for (const long call : {SYS_socket, SYS_execve, SYS_mprotect, SYS_kill, SYS_ptrace, SYS_bpf,
           SYS_ioctl, SYS_mount, SYS_setuid, SYS_prctl, SYS_unlinkat, SYS_connect}) {
    EQUAL(confined(install_opener_filter, [call] { syscall(call, 0, 0, 0, 0, 0, 0); }), -SIGSYS);
  }
  // A thread, or a namespace: anything but the fork of a worker.
  for (const int flags : {CLONE_VM, CLONE_FILES, CLONE_NEWUSER, CLONE_NEWNS}) {
    EQUAL(confined(
              install_opener_filter, [flags] { syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0); }),
        -SIGSYS);
  }
}

TEST("the opener's filter allows an open for reading and kills for one that could write") {
  EQUAL(confined(install_opener_filter,
            [] { syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY); }),
      42);
  for (const int flags : {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC}) {
    EQUAL(confined(install_opener_filter,
              [flags] { syscall(SYS_openat, AT_FDCWD, "/dev/null", flags, 0); }),
        -SIGSYS);
  }
}

TEST("the opener's filter kills for executable memory and for unknown perf_event_open flags") {
  const auto map = [](int protection) {
    return [protection] {
      syscall(SYS_mmap, 0, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    };
  };
  EQUAL(confined(install_opener_filter, map(PROT_READ)), 42);
  EQUAL(confined(install_opener_filter, map(PROT_READ | PROT_EXEC)), -SIGSYS);
  const auto open_with = [](unsigned long flags) {
    return [flags] { syscall(SYS_perf_event_open, 0, 0, -1, -1, flags); };
  };
  EQUAL(confined(install_opener_filter, open_with(PERF_FLAG_FD_CLOEXEC)), 42);
  EQUAL(confined(install_opener_filter, open_with(PERF_FLAG_FD_OUTPUT)), -SIGSYS);
}

TEST("the monitor's filter knows no perf event, no socket and no exec") {
  for (const long call :
      {SYS_perf_event_open, SYS_socket, SYS_execve, SYS_clone, SYS_recvmsg, SYS_mmap}) {
    EQUAL(confined(install_monitor_filter, [call] { syscall(call, 0, 0, 0, 0, 0, 0); }), -SIGSYS);
  }
}

TEST("the broker's filter refuses with EPERM what node never needs, and bind and listen") {
  for (const long call : {SYS_perf_event_open, SYS_bpf, SYS_bind, SYS_listen, SYS_ptrace, SYS_mount,
           SYS_unshare, SYS_setns, SYS_io_uring_setup, SYS_keyctl, SYS_userfaultfd, SYS_pidfd_getfd,
           SYS_personality}) {
    EQUAL(confined(install_broker_filter,
              [call] {
                if (syscall(call, -1, 0, 0, 0, 0, 0) != -1 || errno != EPERM)
                  syscall(SYS_exit_group, 1);
              }),
        42);
  }
}

TEST("the broker's filter refuses namespaces in clone and sends glibc from clone3 to clone") {
  EQUAL(confined(install_broker_filter,
            [] {
              if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) != -1 || errno != EPERM)
                syscall(SYS_exit_group, 1);
              if (syscall(SYS_clone3, 0, 0) != -1 || errno != ENOSYS) syscall(SYS_exit_group, 2);
              const pid_t child = fork();
              if (child == 0) syscall(SYS_exit_group, 0);
              if (child < 0) syscall(SYS_exit_group, 3);
            }),
      42);
}

#ifdef __x86_64__
TEST("the calls of x32 kill under every filter") {
  for (const auto install :
      {install_opener_filter, install_monitor_filter, install_broker_filter}) {
    EQUAL(confined(install, [] { syscall(0x40000000 + SYS_getpid); }), -SIGSYS);
  }
}
#endif

ROOT_TEST("after the drop nothing is left, and the proof says so") {
  const std::string said = stderr_of([] {
    const gid_t groups[] = {60998, 60999};
    if (setgroups(2, groups) != 0) _exit(1);
    set_caps({get_caps().effective, get_caps().permitted, cap_bit(CAP_NET_RAW)});
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0);
    if (!drop_privileges(kNothing) || install_broker_filter() != 0) _exit(1);
    if (!prove_privileges(kNothing, proc_fd())) _exit(1);
    dprintf(STDERR_FILENO, "proven");
  });
  CHECK(said == "proven");
}

ROOT_TEST("a proof without a drop fails and names thread and capability") {
  const std::string said = stderr_of([] {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    install_broker_filter();
    setgroups(0, nullptr);
    if (prove_privileges({"test", true, true, 0, 0, 0, 0, 0}, proc_fd()))
      dprintf(STDERR_FILENO, "proven");
  });
  CHECK(said.find("proof failed: thread ") != std::string::npos);
  CHECK(said.find(" of the test still has CAP_CHOWN in its permitted set") != std::string::npos);
}

ROOT_TEST("the proof fails for each single fact that differs from its expected value") {
  const struct {
    const char* what;
    Privileges wanted;
  } cases[] = {{"real uid", {"test", true, true, 1, 60124, 60123, 60125, 0}},
      {"effective uid", {"test", true, true, 60123, 1, 60123, 60125, 0}},
      {"saved uid", {"test", true, true, 60123, 60124, 1, 60125, 0}},
      {"real gid", {"test", true, true, 60123, 60124, 60123, 1, 0}},
      {"lacks CAP_PERFMON",
          {"test", true, true, 60123, 60124, 60123, 60125, cap_bit(CAP_PERFMON)}}};
  for (const auto& each : cases) {
    const std::string said = stderr_of([&] {
      if (!drop_privileges(kNothing) || install_broker_filter() != 0) _exit(1);
      if (prove_privileges(each.wanted, proc_fd())) dprintf(STDERR_FILENO, "proven");
    });
    CHECK(said.find(each.what) != std::string::npos);
    CHECK(said.find("proven") == std::string::npos);
  }
}

ROOT_TEST("the proof fails without a filter, without no_new_privs and with a supplementary group") {
  const std::string unfiltered = stderr_of([] {
    if (drop_privileges(kNothing) && prove_privileges(kNothing, proc_fd()))
      dprintf(STDERR_FILENO, "proven");
  });
  CHECK(unfiltered.find("Seccomp: 0 instead of 2") != std::string::npos);
  const std::string grouped = stderr_of([] {
    Privileges kept = kNothing;
    kept.change_ids = false;
    const gid_t group = 60999;
    if (setgroups(1, &group) != 0 || setresgid(60125, 60125, 60125) != 0) _exit(1);
    if (!drop_privileges(kept) || install_broker_filter() != 0) _exit(1);
    Privileges wanted{"test", true, true, 0, 0, 0, 60125, 0};
    if (prove_privileges(wanted, proc_fd())) dprintf(STDERR_FILENO, "proven");
  });
  CHECK(grouped.find("supplementary groups: 1 instead of 0") != std::string::npos);
}
