#include "core/workers.h"

namespace perfbroker {

Workers::Workers(size_t most) : most_(std::min(most, kMost)) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, &while_waiting_);
  sigdelset(&while_waiting_, SIGCHLD);
  void* memory =
      mmap(nullptr, sizeof(Reserved), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  // A pipe takes 64 KiB: the number of every worker fits.
  if (memory == MAP_FAILED || pipe2(reports_, O_CLOEXEC | O_NONBLOCK) != 0) return;
  if (pipe2(lifeline_, O_CLOEXEC) == 0) reserved_ = static_cast<Reserved*>(memory);  // zeros
}

// Keeps workers waiting. True in each worker. False in the helper itself when it has to end.
bool Workers::dispatch() {
  constexpr timespec retry{0, 100'000'000};
  struct sigaction wake {};
  wake.sa_handler = [](int) {};  // it only interrupts
  sigaction(SIGCHLD, &wake, nullptr);
  while (exit_code_ == 0) {
    if (fork_missing()) return true;
    pollfd poller{reports_[0], POLLIN, 0};
    // No worker waits: processes or memory are exhausted. Try again later.
    ppoll(&poller, 1, waiting_ > 0 ? nullptr : &retry, &while_waiting_);
    note_reports();
    if (!reap()) break;
  }
  return false;
}

// True in a new worker.
bool Workers::fork_missing() {
  for (size_t i = 0; i < most_ && waiting_ < kWaiting; i++) {
    if (states_[i] != State::kFree) continue;
    // Not fork(3): its system call has other flags, and nothing here needs its preparations.
    const auto pid = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (pid < 0) return false;
    if (pid == 0) {
      self_ = i;
      close(lifeline_[1]);
      return true;
    }
    states_[i] = State::kWaiting;
    pids_[i] = pid;
    waiting_++;
  }
  return false;
}

// A channel is a packet of one byte with one fd; anything else is malformed. The helper itself
// never holds an fd of a client's: if its close(2) were the last, the helper would wait for the
// client's task. So the worker receives the fd, and closes the helper's socket.
WorkerExit Workers::take_channel(int socket, UniqueFd& channel) {
  for (;;) {
    pollfd pollers[] = {{socket, POLLIN, 0}, {lifeline_[0], POLLIN, 0}};
    if (ppoll(pollers, std::size(pollers), nullptr, nullptr) < 0) continue;
    if (pollers[1].revents != 0) return WorkerExit::kEnded;
    char byte;
    const std::optional<Received> received =
        receive_message(socket, &byte, sizeof byte, std::span(&channel, 1), MSG_DONTWAIT);
    if (!received && errno == EAGAIN) continue;  // another worker has taken it
    if (received ? received->bytes == 0 : errno == ECONNRESET) return WorkerExit::kEnded;
    report(static_cast<uint16_t>(self_));
    close(socket);
    if (received && !received->truncated && received->fd_count == 1) return WorkerExit::kServed;
    log_error("a helper process got a malformed channel: its broker is compromised; exiting");
    return WorkerExit::kMalformed;
  }
}

void Workers::report(uint16_t number) {
  while (write(reports_[1], &number, sizeof number) < 0 && errno == EINTR) continue;
}

void Workers::note_reports() {
  for (uint16_t worker; read(reports_[0], &worker, sizeof worker) == sizeof worker;) {
    if (worker == kMalformedReport) exit_code_ = static_cast<int>(WorkerExit::kMalformed);
    if (worker >= most_ || states_[worker] != State::kWaiting) continue;
    states_[worker] = State::kBusy;
    waiting_--;
  }
}

// False: this helper has to end.
bool Workers::reap() {
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    const auto found = std::find(pids_, pids_ + most_, pid);
    if (found != pids_ + most_ && !ended(static_cast<size_t>(found - pids_), status)) return false;
  }
  return true;
}

// False: this helper has to end.
bool Workers::ended(size_t worker, int status) {
  note_reports();  // its number may still be in the pipe, and must not stand for its successor
  if (states_[worker] == State::kWaiting) waiting_--;
  states_[worker] = State::kFree;
  pids_[worker] = 0;
  reserved_->of[worker] = 0;
  if (WIFSIGNALED(status)) {
    log_error("a worker was killed by signal %d", WTERMSIG(status));
    // A call that the filter does not allow: none of our code makes one.
    if (WTERMSIG(status) == SIGSYS) exit_code_ = static_cast<int>(WorkerExit::kMalformed);
    return exit_code_ == 0;
  }
  return exit_code_ == 0 && WEXITSTATUS(status) != static_cast<int>(WorkerExit::kEnded);
}

bool Workers::reserve(uint64_t bytes, uint64_t limit) {
  // Added first: of two workers at the limit both may be refused, but never are both admitted. No
  // sum is kept, as a worker that is killed could leave it wrong.
  reserved_->of[self_] += bytes;
  uint64_t total = 0;
  for (const auto& of : std::span(reserved_->of, most_)) total += of;
  if (total <= limit) return true;
  release(bytes);
  return false;
}

void Workers::release(uint64_t bytes) { reserved_->of[self_] -= bytes; }

void await_input(int channel) {
  pollfd poller{channel, POLLIN, 0};
  while (ppoll(&poller, 1, nullptr, nullptr) < 0 && errno == EINTR) continue;
}

}  // namespace perfbroker
