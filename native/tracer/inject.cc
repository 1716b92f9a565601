#include "tracer/inject.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

namespace perfbroker {

namespace {

// Requests that headers of older systems lack; include/uapi/linux/ptrace.h.
constexpr long kGetRseqConfiguration = 0x420f, kGetDispatchConfig = 0x4211;
struct RseqConfiguration {
  uint64_t address;
  uint32_t size, signature, flags, pad;
};
struct DispatchConfig {
  uint64_t mode, selector, offset, length;
};
constexpr uint64_t kSequenceOffset = 8;  // rseq_cs in struct rseq, include/uapi/linux/rseq.h

long trace(long request, pid_t tid, uintptr_t address, void* data) {
  return ptrace(static_cast<__ptrace_request>(request), tid, address, data);
}

// process_vm_readv(2) checks this process's own ids and capability, and does not need the right to
// open /proc/PID/mem.
bool read_memory(pid_t tid, uint64_t address, void* data, size_t size) {
  const iovec local{data, size}, remote{reinterpret_cast<void*>(address), size};
  return process_vm_readv(tid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool write_memory(pid_t tid, uint64_t address, const void* data, size_t size) {
  const iovec local{const_cast<void*>(data), size}, remote{reinterpret_cast<void*>(address), size};
  return process_vm_writev(tid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool set_registers(const Thread& thread, const Registers& registers) {
  Registers copy = registers;
  iovec vector{&copy, sizeof copy};
  return trace(PTRACE_SETREGSET, thread.tid, NT_PRSTATUS, &vector) == 0;
}

bool set_signal_mask(const Thread& thread, uint64_t mask) {
  return trace(PTRACE_SETSIGMASK, thread.tid, sizeof mask, &mask) == 0;
}

bool is_syscall(pid_t tid, uint64_t address) {
  unsigned char code[sizeof kSyscallCode];
  return address != 0 && read_memory(tid, address, code, sizeof code) &&
         memcmp(code, kSyscallCode, sizeof code) == 0;
}

uint64_t find_vdso_syscall(pid_t tid, int task_dir) {
  static char maps[64 << 10], code[16 << 10];
  char path[32];
  snprintf(path, sizeof path, "%d/maps", tid);
  const UniqueFd file(openat(task_dir, path, O_RDONLY | O_CLOEXEC));
  // Line by line through a window: a process may have thousands of mappings. Names end a line.
  size_t held = 0;
  for (ssize_t got; (got = read(file.get(), maps + held, sizeof maps - held)) > 0;) {
    std::string_view text(maps, held + static_cast<size_t>(got));
    for (size_t end; (end = text.find('\n')) != std::string_view::npos;
         text.remove_prefix(end + 1)) {
      std::string_view line = text.substr(0, end);
      uint64_t begin = 0, limit = 0;
      if (!line.ends_with(" [vdso]") || !take_number(line, begin, 16)) continue;
      line.remove_prefix(1);
      if (!take_number(line, limit, 16)) return 0;
      const size_t size = std::min(limit - begin, sizeof code);
      if (!read_memory(tid, begin, code, size)) return 0;
      const size_t found =
          std::string_view(code, size)
              .find({reinterpret_cast<const char*>(kSyscallCode), sizeof kSyscallCode});
      return found == std::string_view::npos ? 0 : begin + found;
    }
    held = text.size() < sizeof maps ? text.size() : 0;
    memmove(maps, text.data(), held);
  }
  return 0;
}

// Continues the thread to its next stop at a system call.
bool reach_syscall_stop(Thread& thread, int64_t deadline) {
  for (int signal = 0;;) {
    switch (wait_for(thread, deadline, signal)) {
      case Stop::kSyscall:
        return true;
      case Stop::kEvent:  // a group-stop has begun or ended
        resume(thread, PTRACE_SYSCALL, 0);
        break;
      case Stop::kSignal:
        if (signal != SIGSTOP) {  // only SIGSTOP cannot be blocked: it came from our call
          thread.error = EFAULT;
          return false;
        }
        resume(thread, PTRACE_SYSCALL, signal);
        break;
      case Stop::kLate:
        thread.error = ETIMEDOUT;
        return false;
      case Stop::kGone:
        return false;
    }
  }
}

}  // namespace

int read_registers(Thread& thread) {
  iovec vector{&thread.registers, sizeof thread.registers};
  if (trace(PTRACE_GETREGSET, thread.tid, NT_PRSTATUS, &vector) != 0) return errno;
  if (vector.iov_len == sizeof thread.registers) return 0;
  thread.registers = {};  // they are other ones
  return ENOEXEC;
}

int check_dispatch(const Thread& thread) {
  DispatchConfig config{};  // EIO: not available before Linux 6.4
  return trace(kGetDispatchConfig, thread.tid, sizeof config, &config) == 0 && config.mode != 0
             ? EPERM
             : 0;
}

uint64_t find_syscall(std::span<Thread> threads, int task_dir) {
  for (const Thread& thread : threads) {
    const uint64_t address = own_call_address(thread.registers);
    if (is_syscall(thread.tid, address)) return address;
  }
  return threads.empty() ? 0 : find_vdso_syscall(threads[0].tid, task_dir);
}

int prepare(Thread& thread, std::span<const unsigned char, kScratchSize> scratch) {
  thread.scratch = (stack_pointer(thread.registers) - kRedZone - kScratchSize) & ~uint64_t{15};
  if (!read_memory(thread.tid, thread.scratch, thread.scratch_saved, kScratchSize)) return EFAULT;
  // Leaving a restartable sequence ends it: the kernel forgets it as soon as the thread is
  // elsewhere. It is registered again afterwards, so that the thread does not finish a sequence
  // that it must begin again.
  RseqConfiguration rseq{};
  if (trace(kGetRseqConfiguration, thread.tid, sizeof rseq, &rseq) > 0 && rseq.address != 0 &&
      read_memory(
          thread.tid, rseq.address + kSequenceOffset, &thread.sequence, sizeof thread.sequence) &&
      thread.sequence != 0) {
    thread.sequence_field = rseq.address + kSequenceOffset;
  }
  if (trace(PTRACE_GETSIGMASK, thread.tid, sizeof thread.signal_mask, &thread.signal_mask) != 0 ||
      !set_signal_mask(thread, ~uint64_t{0})) {
    return errno;
  }
  thread.changed = true;
  return write_memory(thread.tid, thread.scratch, scratch.data(), scratch.size()) ? 0 : EFAULT;
}

bool begin_call(Thread& thread, uint64_t address, const Call& call) {
  Registers registers = thread.registers;
  set_call(registers, address, call);
  // ESRCH: it has been killed, which the wait reports.
  return set_registers(thread, registers) && resume(thread, PTRACE_SYSCALL, 0);
}

void pass_entry(Thread& thread, int64_t deadline) {
  if (reach_syscall_stop(thread, deadline)) resume(thread, PTRACE_SYSCALL, 0);
}

void finish_call(Thread& thread, int64_t deadline) {
  if (!reach_syscall_stop(thread, deadline)) return;
  Registers after;
  iovec vector{&after, sizeof after};
  if (trace(PTRACE_GETREGSET, thread.tid, NT_PRSTATUS, &vector) != 0)
    thread.error = errno;
  else if (const int64_t result = call_result(after); result < 0)
    thread.error = static_cast<int>(-result);
}

void release(std::span<Thread> threads) {
  for (Thread& thread : threads) {
    if (!thread.changed || thread.state == ThreadState::kGone) continue;
    trace(PTRACE_INTERRUPT, thread.tid, 0, nullptr);
    if (thread.state == ThreadState::kStopped) resume(thread, PTRACE_CONT, 0);
  }
  for (Thread& thread : threads) {
    if (thread.changed && thread.state != ThreadState::kGone) await_event(thread, 0);
  }
  // All threads are stopped. Now restores the memory, which they share.
  for (const Thread& thread : threads) {
    if (!thread.changed || thread.state == ThreadState::kGone) continue;
    write_memory(thread.tid, thread.scratch, thread.scratch_saved, kScratchSize);
    if (thread.sequence_field != 0)
      write_memory(thread.tid, thread.sequence_field, &thread.sequence, sizeof thread.sequence);
  }
  for (Thread& thread : threads) {
    // One that runs (it could not be stopped in time) is released by the end of this process.
    if (thread.state != ThreadState::kStopped) continue;
    if (hide_interruption(thread.registers) || thread.changed)
      set_registers(thread, thread.registers);
    if (thread.changed) set_signal_mask(thread, thread.signal_mask);
    trace(PTRACE_DETACH, thread.tid, 0, nullptr);
    thread.changed = false;
    thread.state = ThreadState::kGone;
  }
}

}  // namespace perfbroker
