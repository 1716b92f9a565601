#include "tracer/refuse.h"

namespace perfbroker {

using tracer_protocol::Refusal;

namespace {

bool is_kernel_thread(const Process& process) {
  constexpr uint32_t kernel_thread = 0x00200000;  // PF_KTHREAD, include/linux/sched.h
  std::string_view text;
  if (!read_leader_stat(process.directory.get(), process.pid, text)) return false;
  uint32_t flags = 0;
  return parse_stat_field(text, 9, flags) && (flags & kernel_thread) != 0;
}

}  // namespace

Refusal refuse_process(int proc_dir, const Process& process) {
  if (process.pid == 1) return Refusal::kInit;
  if (is_kernel_thread(process)) return Refusal::kKernelThread;
  ThreadFacts target, facts{};
  const bool known = read_facts(proc_dir, process.pid, target);
  // Ancestors, from this process: the tracer, the monitor (generation 2, whose children are the
  // daemon's processes), and the monitor's own.
  int generation = 0;
  for (pid_t pid = getpid(); pid > 0; pid = facts.parent, generation++) {
    if (pid == process.pid || (known && generation == 2 && target.parent == pid))
      return Refusal::kAncestor;
    if (!read_facts(proc_dir, pid, facts)) break;
  }
  return Refusal::kNone;
}

Refusal refuse_thread(const ThreadFacts& facts) {
  if (facts.tracer != 0 && facts.tracer != getpid()) return Refusal::kTraced;
  return facts.status.seccomp != 0 ? Refusal::kSeccomp : Refusal::kNone;
}

}  // namespace perfbroker
