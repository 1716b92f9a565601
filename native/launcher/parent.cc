#include "launcher/parent.h"

#include <sys/signalfd.h>

#include "core/scm.h"
#include "launcher/gated_command.h"
#include "launcher/inherited_state.h"
#include "launcher/node.h"
#include "launcher/relay.h"
#include "launcher/report.h"
#include "launcher/utf8.h"
#include "protocol/launcher.h"

namespace perfbroker {
namespace {

using parent::Message;
using parent::Type;

constexpr int kFirstFd = 3;
constexpr int kExitInterrupted = 130;  // src/cli/failure.ts, ExitCode.interrupted

UniqueFd above_standard_fds(int fd) {
  UniqueFd original(fd);
  return fd >= 0 && fd < kFirstFd ? UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, kFirstFd))
                                  : std::move(original);
}

// Index of the first argument that node would change, because it is not UTF-8; 0: there is none.
size_t find_foreign_argument(std::span<char*> arguments) {
  for (size_t index = 1; index < arguments.size(); index++) {
    if (!is_utf8(arguments[index])) return index;
  }
  return 0;
}

// A process in a session of its own: no signal to the job's process group reaches it, and no
// terminal controls it. Signals that are meant for it are passed on.
class CollectorProcess {
 public:
  // 0, or errno. `theirs`: its end of the control socket.
  int start(const Node& node, const std::string& program, std::span<char*> arguments,
      const std::string& marker, int theirs, std::span<const TerminalRelay> relays) {
    std::vector<const char*> words = {node.path.c_str()};
    const std::vector<const char*> options = node_options(node);
    words.insert(words.end(), options.begin(), options.end());
    words.push_back(program.c_str());
    words.insert(words.end(), arguments.begin() + 1, arguments.end());
    words.push_back(nullptr);
    const std::vector<char*> variables = node_environment(node, marker.c_str());
    pid_ = fork();
    if (pid_ < 0) return errno;
    if (pid_ > 0) return 0;
    setsid();
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    dup2(null.get(), STDIN_FILENO);
    fcntl(theirs, F_SETFD, 0);
    if (std::ranges::all_of(relays, &TerminalRelay::place))
      execve(node.path.c_str(), const_cast<char* const*>(words.data()), variables.data());
    const int exit_code = report_exec_error(node.path.c_str(), errno);
    fflush(stderr);
    _exit(exit_code);
  }

  void signal(int number) const {
    if (is_running()) kill(pid_, number);
  }

  bool is_running() const { return pid_ > 0; }

  // Reaps it if it has ended; true when it did so in this call.
  bool reap() {
    if (!is_running() || waitid(P_PID, static_cast<id_t>(pid_), &ended_, WEXITED | WNOHANG) != 0 ||
        ended_.si_pid == 0)
      return false;
    pid_ = -1;
    return true;
  }

  int exit_code() const { return shell_exit_code(ended_); }

  // The signal that killed it; 0: none did.
  int killer() const { return ended_.si_code == CLD_EXITED ? 0 : ended_.si_status; }

 private:
  pid_t pid_ = -1;
  siginfo_t ended_{};
};

class Parent {
 public:
  explicit Parent(std::span<char*> arguments) : arguments_(arguments) {}

  int run() {
    std::string problem;
    int exit_code = kExitNotFound;
    if (!start(problem, exit_code)) {
      fprintf(stderr, "perfbroker: %s\n", problem.c_str());
      return exit_code;
    }
    while (collector_.is_running() || command_.is_running() || has_output()) {
      if (!collector_.is_running() && exits_at_once_ && !has_output()) break;
      wait();
    }
    exit_code = collector_.exit_code();
    const bool is_of_command = is_timer_ ? exit_code == 0 : !exits_at_once_;
    return was_released_ && is_of_command ? command_.exit_code() : exit_code;
  }

 private:
  bool start(std::string& problem, int& exit_code) {
    const auto fail = [&problem](const char* what) {
      problem = std::string(what) + ": " + strerrordesc_np(errno);
      return false;
    };
    const Node node = find_node();
    const std::string program = find_program();
    if (access(program.c_str(), R_OK) != 0) return fail(program.c_str());
    if (node.path.empty()) {
      problem = node.problem;
      return false;
    }
    if (!node.problem.empty()) fprintf(stderr, "perfbroker: %s\n", node.problem.c_str());
    exit_code = 1;
    signals_ = above_standard_fds(signalfd(-1, &inherited_.handled(), SFD_CLOEXEC | SFD_NONBLOCK));
    int ends[2];
    if (!signals_ || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
      return fail("the collector could not be started");
    control_ = above_standard_fds(ends[0]);
    const UniqueFd theirs = above_standard_fds(ends[1]);
    std::string terminals;
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
      TerminalRelay& relay = relays_[fd - STDOUT_FILENO];
      if (relay.open(fd) != 0) return fail("the collector could not be started");
      if (relay.is_terminal()) terminals += std::to_string(fd);
    }
    if (!control_ || !theirs) return fail("the collector could not be started");
    const std::string marker = "PERFBROKER_PARENT=" + std::to_string(getpid()) + " " +
                               std::to_string(theirs.get()) + " " +
                               (terminals.empty() ? "-" : terminals) + " " +
                               std::to_string(find_foreign_argument(arguments_));
    if (const int error =
            collector_.start(node, program, arguments_, marker, theirs.get(), relays_)) {
      errno = error;
      return fail("the collector could not be started: fork");
    }
    for (TerminalRelay& relay : relays_) relay.close_writer();
    return true;
  }

  bool has_output() const { return std::ranges::any_of(relays_, &TerminalRelay::is_open); }

  void wait() {
    std::vector<pollfd> wanted = {
        {signals_.get(), POLLIN, 0}, {control_.get(), POLLIN, 0}, {command_.gate(), POLLIN, 0}};
    std::vector<TerminalRelay*> waiting;
    for (TerminalRelay& relay : relays_) {
      if (!relay.is_open()) continue;
      wanted.push_back(relay.wanted());
      waiting.push_back(&relay);
    }
    if (poll(wanted.data(), wanted.size(), -1) < 0) return;
    if (wanted[1].revents != 0) receive();
    if (wanted[2].revents != 0) report_exec();
    if (wanted[0].revents != 0) handle_signals();
    for (size_t index = 0; index < waiting.size(); index++) {
      if (wanted[3 + index].revents != 0) waiting[index]->advance();
    }
  }

  void send(Type type, int value) {
    const Message message{parent::kVersion, type, static_cast<uint32_t>(value)};
    if (control_) send_message(control_.get(), &message, sizeof message, {}, MSG_DONTWAIT);
  }

  void receive() {
    Message request{};
    const std::optional<Received> received =
        receive_message(control_.get(), &request, sizeof request, {}, MSG_DONTWAIT);
    if (!received && (errno == EAGAIN || errno == EINTR)) return;
    if (!received || received->bytes != sizeof request || received->truncated ||
        request.version != parent::kVersion) {
      control_.reset();
      return;
    }
    switch (request.type) {
      case Type::kStart:
      case Type::kStartTimer:
        is_timer_ = request.type == Type::kStartTimer;
        return start_command(request.value);
      case Type::kRelease:
        was_released_ = was_released_ || command_.is_running();
        return command_.release();
      case Type::kTerminate:
        return command_.terminate();
      default:
        control_.reset();
    }
  }

  void start_command(size_t index) {
    int error = EINVAL;
    if (!command_.is_running() && index > 0 && index < arguments_.size()) {
      // The arguments of main() end with a null pointer.
      error = command_.start(arguments_.data() + index, inherited_);
    }
    if (error != 0) return send(Type::kFailed, error);
    send(Type::kStarted, command_.pid());
  }

  void report_exec() { send(Type::kExecuted, command_.take_exec_error()); }

  void handle_signals() {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int number = static_cast<int>(info.ssi_signo);
      if (number == SIGCHLD) continue;
      const bool is_of_terminal = info.ssi_code == SI_KERNEL;
      if (number == SIGINT && is_of_terminal && inherited_.ignores_interrupt()) continue;
      // The terminal sends its signals to CMD itself.
      if (collector_.is_running())
        collector_.signal(number);
      else if (!is_of_terminal)
        command_.signal(number);
    }
    if (command_.gate() >= 0 && command_.reap()) {
      report_exec();
      send(Type::kExited, command_.exit_code());
    } else if (command_.reap()) {
      send(Type::kExited, command_.exit_code());
    }
    if (collector_.reap()) end_collector();
  }

  void end_collector() {
    control_.reset();
    exits_at_once_ = collector_.exit_code() == kExitInterrupted;
    if (!command_.is_running()) return;
    if (!command_.is_released()) return command_.terminate();
    if (collector_.killer() == 0) return;
    fprintf(stderr,
        "perfbroker: the collector was killed by signal %d: nothing is recorded or counted from "
        "now on; the command goes on\n",
        collector_.killer());
  }

  std::span<char*> arguments_;
  InheritedState inherited_;
  UniqueFd signals_, control_;
  TerminalRelay relays_[2];
  CollectorProcess collector_;
  GatedCommand command_;
  bool is_timer_ = false, was_released_ = false, exits_at_once_ = false;
};

}  // namespace

int run_as_parent(std::span<char*> arguments) {
  if (getuid() != geteuid() || getgid() != getegid()) {
    fputs(
        "perfbroker: record and stat execute any CMD, so this program must not be setuid or "
        "setgid\n",
        stderr);
    return kExitFailed;
  }
  return Parent(arguments).run();
}

}  // namespace perfbroker
