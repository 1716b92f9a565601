// The seccomp filters of the three parts. Each installs one and returns 0 or an errno; no_new_privs
// must be set.
#pragma once

#include "core/seccomp.h"

namespace perfbroker {

// For the two native parts an allow-list; anything else kills the process. First what both need:
// reading /proc (for the proof, too), a line on stderr, an end.
inline int install_allow_list(SeccompFilter& filter, std::span<const long> more) {
  filter.on_bits(SYS_openat, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND, kKill, kAllow);
  constexpr long common[] = {SYS_read, SYS_write, SYS_close, SYS_ppoll, SYS_newfstatat, SYS_fstat,
      SYS_getdents64, SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall, SYS_clock_gettime,
      SYS_wait4};
  for (const long call : common) filter.on(call, kAllow);
  for (const long call : more) filter.on(call, kAllow);
  return filter.install(kKill);
}

inline int install_opener_filter() {
  SeccompFilter filter;
  filter.on_bits(SYS_perf_event_open, 4, ~uint32_t{PERF_FLAG_FD_CLOEXEC | PERF_FLAG_PID_CGROUP},
      kKill, kAllow);
  filter.on_bits(SYS_mmap, 2, PROT_EXEC, kKill, kAllow);
  filter.on_bits(SYS_clone, 0, ~uint32_t{SIGCHLD}, kKill, kAllow);  // workers, by plain fork
  constexpr long more[] = {SYS_recvmsg, SYS_sendmsg, SYS_getsockopt, SYS_getsockname,
      SYS_pidfd_open, SYS_fstatfs, SYS_readlinkat, SYS_munmap, SYS_rt_sigaction};
  return install_allow_list(filter, more);
}

inline int install_monitor_filter() {
  SeccompFilter filter;
  return install_allow_list(filter, {{SYS_kill, SYS_setitimer}});
}

// For the broker a deny-list of what node never needs: EPERM.
inline int install_broker_filter() {
  SeccompFilter filter;
  constexpr long calls[] = {// what the opener is for, and what it relies on: a socket named like
                            // our listener was accepted from it
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
      // interfaces with a history
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
