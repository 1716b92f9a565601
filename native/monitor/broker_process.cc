#include "monitor/broker_process.h"

#include "core/caps.h"
#include "core/log.h"
#include "core/seccomp.h"
#include "core/wasm_option.h"

namespace perfbroker {

namespace {

// A small young generation and no compiler: a fifth less memory, and no memory that is writable and
// executable, so that the unit can forbid it, for a little time. The memory reducer would wake up
// an idle broker. Node starts through the working directory, which was chosen as root: it needs no
// right on the directories above. argv[1] is the place of wasm_option's answer.
std::vector<std::string> broker_argv(const Options& o, const Resources& r, unsigned capability) {
  const char* name = r.listener.address.value.sun_path;
  const std::string bound(name, strnlen(name, r.listener.address.length - sizeof(sa_family_t)));
  std::vector<std::string> argv = {o.node, "", "--max-semi-space-size=1", "--jitless",
      "--no-memory-reducer", "--disable-proto=delete", "--preserve-symlinks",
      "--disallow-code-generation-from-strings", "--preserve-symlinks-main",
      "/proc/self/cwd/dist/broker/main.js", "--socket", bound.empty() ? o.socket : bound,
      "--ceiling", o.ceiling, "--capability", std::string("CAP_") + cap_name(capability),
      "--log-level", o.log_level, "--ready-fd", "8"};
  if (!o.policy.empty()) argv.insert(argv.end(), {"--policy", o.policy});
  if (r.audit) argv.insert(argv.end(), {"--audit-fd", "5"});
  if (r.tracepoints) argv.insert(argv.end(), {"--tracepoints-fd", "6"});
  if (r.tracer_broker_end) argv.insert(argv.end(), {"--tracer-fd", "7"});
  return argv;
}

bool is_readable(const char* path) {
  if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0) return true;
  log_error(
      "the broker's user (uid %u) cannot read %s: %s", geteuid(), path, strerrordesc_np(errno));
  return false;
}

// Returns only when node cannot be executed. Of the environment only the variables that systemd
// sets for a service are passed on.
void execute_node(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  std::vector<const char*> environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/"};
  for (const std::string_view name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
           "LISTEN_FDS", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY"}) {
    const char* value = getenv(name.data());
    if (value != nullptr) environment.push_back(value - name.size() - 1);  // NAME=value
  }
  environment.push_back(nullptr);
  // The search uses the PATH of the monitor's caller, which is still this process's.
  for (const char* node : {argv[0], "/usr/bin/node", "/usr/local/bin/node"}) {
    auto* variables = const_cast<char* const*>(environment.data());
    argv[1] = wasm_option(node, variables);
    execvpe(node, const_cast<char* const*>(argv.data()), variables);
    log_error("%s cannot be executed by uid %u: %s", node, geteuid(), strerrordesc_np(errno));
    if (strchr(argv[0], '/') != nullptr) break;  // --node allows no other
  }
}

}  // namespace

ChildProcess start_broker(
    const Privileges& p, const Options& o, const Resources& r, unsigned capability) {
  const std::vector<std::string> argv = broker_argv(o, r, capability);
  return start_child("broker", [&](int channel, pid_t monitor) {
    int fds[] = {r.listener.fd.get(), r.broker_end.get(), r.audit.get(), r.tracepoints.get(),
        r.tracer_broker_end.get(), channel, r.proc_dir.get()};
    if (fchdir(r.root.get()) != 0) exit_with(channel, kStartup, "the directory above dist/");
    if (!arrange_fds(fds)) exit_with(channel, kStartup, "the fds of the broker");
    fcntl(fds[6], F_SETFD, FD_CLOEXEC);  // node gets the others
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    channel = fds[5];
    drop_and_confine(p, channel, fds[6], monitor, install_broker_filter);
    // From now on the monitor waits for a code, and only for that.
    if (receive_byte(channel) < 0) _exit(kHelperDied);
    const char* policy = o.policy.empty() ? "." : o.policy.c_str();
    if (is_readable("dist/broker/main.js") && is_readable(policy)) execute_node(argv);
    exit_with(channel, kStartup);
  });
}

int install_broker_filter() {
  SeccompFilter filter;
  constexpr long calls[] = {// the opener's task, and its assumption: a socket named like our
                            // listener was accepted from it
      SYS_perf_event_open, SYS_bpf, SYS_bind, SYS_listen,
      // other processes
      SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_pidfd_getfd,
      SYS_kcmp,
      // namespaces, mounts
      SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_move_mount,
      SYS_open_tree, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
      SYS_swapon, SYS_swapoff,
      // the kernel itself
      SYS_kexec_load, SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module,
      SYS_reboot, SYS_syslog, SYS_acct, SYS_quotactl, SYS_settimeofday, SYS_clock_settime,
      SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname,
      // interfaces with a history of vulnerabilities
      SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_keyctl, SYS_add_key,
      SYS_request_key, SYS_userfaultfd, SYS_open_by_handle_at, SYS_name_to_handle_at,
      SYS_personality, SYS_fanotify_init, SYS_vhangup};
  for (const long call : calls) filter.on(call, refuse(EPERM));
#ifdef __x86_64__
  for (const long call : {SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib})
    filter.on(call, refuse(EPERM));
#endif
  constexpr uint32_t namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                  CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  filter.on_bits(SYS_clone, 0, namespaces, refuse(EPERM), kAllow);
  filter.on(SYS_clone3, refuse(ENOSYS));  // its flags lie in memory; glibc falls back to clone
  return filter.install(kAllow);
}

}  // namespace perfbroker
