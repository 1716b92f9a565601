#include "launcher/collector.h"

#include <pwd.h>

#include "core/caps.h"
#include "core/proc.h"
#include "core/scm.h"
#include "launcher/node.h"
#include "launcher/orphan.h"
#include "launcher/report.h"
#include "protocol/launcher.h"

namespace perfbroker {
namespace {

// The collector's fds; src/collector/launcher/launcher.ts knows them by these numbers.
constexpr int kControlFd = 3, kPidfdFd = 4, kCommandErrorsFd = 5, kBrokerFd = 6, kFirstOtherFd = 7;
// Numbers out of the way of those.
constexpr int kSafeFd = 16;
// Default of /proc/sys/fs/nr_open: no process has a higher number unless root raised it.
constexpr int kLastFd = 1 << 20;

// The users of the daemon's processes and of its D-Bus front end, and their ids where there are no
// such users (monitor/options.cc, src/broker/main.ts).
constexpr const char* kDaemonUsers[] = {
    "perfbroker", "perfbroker-opener", "perfbroker-tracer", "perfbroker-bus"};
constexpr uid_t kFirstDaemonFallback = 60910, kLastDaemonFallback = 60913;

// Processes of one uid can write each other's memory. The collector parses what a hostile CMD
// writes: under the uid of one of the daemon's processes, a fault in it would be a fault in that
// process.
bool is_daemon_uid(uid_t uid) {
  if (uid >= kFirstDaemonFallback && uid <= kLastDaemonFallback) return true;
  return std::ranges::any_of(kDaemonUsers, [uid](const char* name) {
    const passwd* entry = getpwnam(name);
    return entry != nullptr && entry->pw_uid == uid;
  });
}

bool is_id(const char* text, uint32_t& id) {
  std::string_view view(text != nullptr ? text : "");
  return take_number(view, id) && view.empty() && id != 0 && id != UINT32_MAX;
}

// Old seccomp profiles of container runtimes answer close_range(2) with EPERM or ENOSYS.
void close_from(int first) {
  if (syscall(SYS_close_range, static_cast<unsigned>(first), ~0u, 0) == 0) return;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  for (int fd = first; static_cast<rlim_t>(fd) < files.rlim_max && fd < kLastFd; fd++) close(fd);
}

struct Child {
  const CollectorUser& user;
  int control, pidfd, errors, broker;
  const char* node;
  const char* program;
  std::vector<char*> arguments, environment;

  [[noreturn]] void fail(const char* step, int error) const {
    launch::Request failure{};
    failure.version = launch::kVersion;
    failure.type = launch::Type::kFailed;
    failure.exit_code = kExitFailed;
    snprintf(failure.text, sizeof failure.text, "the collector could not start: %s: %s", step,
        strerrordesc_np(error));
    send_message(control, &failure, sizeof failure, {}, 0);
    _exit(kExitFailed);
  }

  static int check(int result) { return result == 0 ? 0 : errno; }

  // CMD's pipes must not be kept open here, and node must not have CMD's standard error among its
  // first three: it would make a pipe non-blocking, which CMD shares, and at its end give a
  // terminal the modes that it had at node's start.
  void place_fds() const {
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int command_errors = fcntl(2, F_GETFD) >= 0 && null != 2 ? 2 : null;
    if (null < 0 || dup2(command_errors, kCommandErrorsFd) < 0 || dup2(control, kControlFd) < 0 ||
        dup2(pidfd, kPidfdFd) < 0 || (broker >= 0 && dup2(broker, kBrokerFd) < 0) ||
        dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(errors, 2) < 0) {
      fail("dup2", errno);
    }
  }

  // Drops all privileges. The failure of any step is fatal, because a privileged process must not
  // execute node.
  void drop() const {
    const bool may_seal = (get_caps().effective & cap_bit(CAP_SETPCAP)) != 0;
    const struct {
      const char* name;
      int error;
    } steps[] = {// in this order: a braced list is evaluated left to right
        {"bounding set", may_seal ? empty_bounding() : 0},
        {"securebits", may_seal ? lock_securebits() : 0},
        {"supplementary groups",
            user.change ? check(setgroups(user.groups.size(), user.groups.data())) : 0},
        {"gids", user.change ? check(setresgid(user.gid, user.gid, user.gid)) : 0},
        {"uids", user.change ? check(setresuid(user.uid, user.uid, user.uid)) : 0},
        {"ambient set", clear_ambient()}, {"capability sets", set_caps({})},
        {"no_new_privs", check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))}};
    for (const auto& step : steps) {
      if (step.error != 0) fail(step.name, step.error);
    }
    TaskStatus status;
    const UniqueFd file(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    if (!file || !read_status(file.get(), status)) fail("/proc/self/status", errno);
    const bool bare = status.caps[kPermitted] == 0 && status.caps[kEffective] == 0 &&
                      status.caps[kInheritable] == 0 && status.caps[kAmbient] == 0 &&
                      status.no_new_privs == 1;
    const bool root = std::ranges::find(status.uid, 0u) != std::end(status.uid);
    if (!bare || root) fail("proof that it has no privilege", EPERM);
  }

  [[noreturn]] void run() {
    setsid();
    place_fds();
    close_from(broker >= 0 ? kFirstOtherFd : kBrokerFd);
    control = kControlFd;
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    drop();
    if (access(program, R_OK) != 0) fail(program, errno);
    fcntl(kControlFd, F_SETFL, fcntl(kControlFd, F_GETFL) | O_NONBLOCK);
    execve(node, arguments.data(), environment.data());
    fcntl(kControlFd, F_SETFL, 0);
    fail(node, errno);
  }
};

}  // namespace

UniqueFd dup_above_reserved(UniqueFd fd) {
  return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, kSafeFd));
}

CollectorUser find_collector_user() {
  CollectorUser user;
  user.change = getuid() == 0 || geteuid() == 0;
  if (!user.change) return user;
  user.invoking = is_id(getenv("SUDO_UID"), user.uid) && is_id(getenv("SUDO_GID"), user.gid);
  if (!user.invoking) {
    const passwd* entry = getpwnam(kCollectorUser);
    user.uid = entry != nullptr ? entry->pw_uid : 0;
    user.gid = entry != nullptr ? entry->pw_gid : 0;
    if (user.uid == 0 || user.gid == 0 || is_daemon_uid(user.uid))
      user.uid = user.gid = kFallbackCollector;
  } else if (const passwd* entry = getpwuid(user.uid); entry != nullptr) {
    int count = 64;
    user.groups.resize(static_cast<size_t>(count));
    if (getgrouplist(entry->pw_name, user.gid, user.groups.data(), &count) < 0) {
      user.groups.resize(static_cast<size_t>(count));
      getgrouplist(entry->pw_name, user.gid, user.groups.data(), &count);
    }
    user.groups.resize(static_cast<size_t>(count));
  }
  return user;
}

std::string Collector::last_words() const {
  char text[1024];
  const off_t end = lseek(errors.get(), 0, SEEK_END);
  const ssize_t length = pread(
      errors.get(), text, sizeof text, std::max<off_t>(end - static_cast<off_t>(sizeof text), 0));
  std::string words(text, static_cast<size_t>(std::max<ssize_t>(length, 0)));
  std::ranges::replace_if(
      words, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, ' ');
  return words;
}

Collector start_collector(const CollectorStart& start, std::string& problem) {
  const auto fail = [&problem](std::string reason) {
    problem = std::move(reason);
    return Collector();
  };
  if (start.user.change && is_daemon_uid(start.user.uid)) {
    return fail("its uid would be " + std::to_string(start.user.uid) +
                ", which a process of perfbrokerd has");
  }
  int exit_code = 0;
  if (std::string obstacle = find_node_obstacle(exit_code); !obstacle.empty())
    return fail(std::move(obstacle));
  const Node node = find_node();
  const std::string program = find_program();
  if (node.path.empty()) return fail(node.problem);

  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return fail(strerrordesc_np(errno));
  Collector collector{dup_above_reserved(UniqueFd(pair[0])),
      dup_above_reserved(UniqueFd(memfd_create("errors", MFD_CLOEXEC)))};
  const UniqueFd theirs = dup_above_reserved(UniqueFd(pair[1]));
  const auto own = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  if (own < 0) {
    return fail(std::string("a seccomp filter or an old kernel refuses pidfd_open: ") +
                strerrordesc_np(errno));
  }
  const UniqueFd pidfd = dup_above_reserved(UniqueFd(own));
  if (!collector.control || !collector.errors || !theirs || !pidfd)
    return fail(std::string("its fds could not be made: ") + strerrordesc_np(errno));

  Child child{start.user, theirs.get(), pidfd.get(), collector.errors.get(), start.broker,
      node.path.c_str(), program.c_str(), {}, {}};
  child.arguments = {const_cast<char*>(child.node)};
  for (const char* option : node_options(node))
    child.arguments.push_back(const_cast<char*>(option));
  child.arguments.push_back(const_cast<char*>(child.program));
  for (char** argument = start.arguments + 1; *argument != nullptr; argument++)
    child.arguments.push_back(*argument);
  child.arguments.push_back(nullptr);
  const std::string marker = "PERFBROKER_COLLECTOR=" + std::to_string(getpid()) + " " +
                             start.source +
                             (start.user.change && !start.user.invoking ? " launcher" : " self");
  child.environment = node_environment(node, marker.c_str());
  if (const int error =
          fork_orphan([](void* argument) { static_cast<Child*>(argument)->run(); }, &child))
    return fail(std::string("fork: ") + strerrordesc_np(error));
  return collector;
}

}  // namespace perfbroker
