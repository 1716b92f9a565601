#include "launcher/run.h"

#include "core/linux.h"
#include "launcher/collector.h"
#include "launcher/report.h"
#include "launcher/run_options.h"
#include "launcher/service.h"

namespace perfbroker {
namespace {

constexpr const char* kDefaultSocket = "/run/perfbroker/broker.sock";
constexpr timeval kConnectTimeout{5, 0};

// The broker, connected by this process, which is the target: a holder of the connection asks for
// it in its name and with its rights. Empty: errno.
UniqueFd connect_broker(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return UniqueFd();
  }
  memcpy(address.sun_path, path.data(), path.size());
  UniqueFd connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!connection) return connection;
  // A full backlog makes connect(2) wait.
  setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &kConnectTimeout, sizeof kConnectTimeout);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    connection.reset();
    errno = error;
    return connection;
  }
  fcntl(connection.get(), F_SETFL, O_RDWR | O_NONBLOCK);
  return dup_above_reserved(std::move(connection));
}

std::string socket_path(const RunOptions& options) {
  if (!options.socket.empty()) return options.socket;
  const char* path = getenv("PERFBROKER_SOCKET");
  return path != nullptr && *path != '\0' ? path : kDefaultSocket;
}

bool holds_capability() {
  return (get_caps().effective & (cap_bit(CAP_PERFMON) | cap_bit(CAP_SYS_ADMIN))) != 0;
}

// The first line, for a warning of one.
std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

// Returns 0, or the exit code of a fatal failure. CMD runs only if the requested steps succeeded.
int downgrade(const RunOptions& options) {
  if (const std::string problem = apply_downgrade(options.downgrade); !problem.empty()) {
    fprintf(stderr, "perfbroker: the downgrade failed, so %s was not run: %s\n", options.command[0],
        problem.c_str());
    return kExitFailed;
  }
  if (!options.verify) return 0;
  const std::string problem = verify_downgrade(options.downgrade);
  if (problem.empty()) return 0;
  fprintf(
      stderr, "perfbroker: --verify: %s was not run: %s\n", options.command[0], problem.c_str());
  return kExitFailed;
}

}  // namespace

int run_command(std::span<char*> arguments, size_t run) {
  RunOptions options;
  // --socket may stand before the word `run`.
  std::vector<char*> words(arguments.begin() + 1, arguments.begin() + static_cast<ptrdiff_t>(run));
  words.insert(words.end(), arguments.begin() + static_cast<ptrdiff_t>(run) + 1, arguments.end());
  words.push_back(nullptr);
  if (const std::string problem = parse_run_options({words.data(), words.size() - 1}, options);
      !problem.empty()) {
    fprintf(stderr, "perfbroker: %s\nSee perfbroker run --help.\n", problem.c_str());
    return kExitUsage;
  }
  if (options.help) return -1;
  if (getuid() != geteuid() || getgid() != getegid()) {
    fputs(
        "perfbroker: run executes any CMD, so this program must not be setuid or setgid\n", stderr);
    return kExitFailed;
  }

  const std::string path = socket_path(options);
  UniqueFd broker = connect_broker(path);
  const int refused = errno;
  const bool opens = !broker && holds_capability();
  const CollectorUser user = find_collector_user();
  const CollectorStart start{user,
      broker  ? "broker"
      : opens ? "direct"
              : "none",
      arguments.data(), broker.get()};
  Verdict verdict{false, kExitFailed, ""};
  Collector collector = start_collector(start, verdict.problem);
  UniqueFd& control = collector.control;
  broker.reset();
  CollectorService service(control.get(), user, opens, options.output);
  if (control) verdict = service.serve();
  if (!verdict.ready && control) verdict.problem += collector.last_words();
  if (!verdict.ready) {
    if (control) service.discard(ECANCELED);
    control.reset();
    if (!verdict.problem.empty() && verdict.exit_code == kExitUsage) {
      fputs(verdict.problem.c_str(), stderr);
      return kExitUsage;
    }
    if (!opens && start.broker < 0) {
      verdict.problem = "there is no broker (" + path + ": " + strerrordesc_np(refused) +
                        "), and this process has neither CAP_PERFMON nor CAP_SYS_ADMIN";
    }
    const std::string_view text = options.require ? verdict.problem : first_line(verdict.problem);
    fprintf(stderr, "perfbroker: %s %s: %.*s\n", options.command[0],
        options.require ? "was not run" : "runs unprofiled", static_cast<int>(text.size()),
        text.data());
    if (options.require) return kExitFailed;
  }
  if (const int code = downgrade(options)) {
    if (control) service.discard(EPERM);
    return code;
  }
  fflush(stderr);
  if (control) service.announce_exec();
  execvp(options.command[0], options.command);
  const int error = errno;
  if (control) service.discard(error);
  return report_command_error(options.command[0], error);
}

}  // namespace perfbroker
