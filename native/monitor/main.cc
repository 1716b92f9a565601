// perfbrokerd: started with privilege, it finds out what the kernel demands, binds the socket, starts the opener and
// the broker, and gives up what it has. It then only waits for its parts.
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "core/caps.h"
#include "monitor/exit_codes.h"
#include "monitor/filters.h"
#include "monitor/kernel_tables.h"
#include "monitor/listener.h"
#include "monitor/options.h"
#include "monitor/parts.h"
#include "monitor/say.h"
#include "monitor/supervise.h"
#include "monitor/trial.h"

namespace perfbroker {
namespace {

// 0, 1 and 2 exist, and stdin is nobody's.
void fix_standard_fds() {
  int null = open("/dev/null", O_RDWR);
  while (null >= 0 && null < STDERR_FILENO) null = dup(null);
  dup2(null, STDIN_FILENO);
  if (null > STDERR_FILENO) close(null);
}

// What is opened with privilege and used without.
struct Resources {
  Listener listener;
  UniqueFd proc_dir, root, node, audit, tracepoints;
  std::vector<uint32_t> pointer_pmus;
  bool pointer_pmus_known = false;
};

// The directory above dist/, by where this program lies: dist/bin/perfbrokerd.
UniqueFd open_install_root() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  std::string root(path, length > 0 ? static_cast<size_t>(length) : 0);
  for (int levels = 0; levels < 3; levels++) root.resize(root.rfind('/') == std::string::npos ? 0 : root.rfind('/'));
  UniqueFd fd(open(root.empty() ? "/" : root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd && faccessat(fd.get(), "dist/broker/main.js", F_OK, 0) == 0) return fd;
  say("%s/dist/broker/main.js is missing: the tree has not been built (npm run build)", root.c_str());
  return {};
}

int open_resources(const Options& o, Resources& r) {
  r.proc_dir.reset(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  r.root = open_install_root();
  if (!r.proc_dir || !r.root) return kExitStartup;
  r.node.reset(o.node.empty() ? -1 : open(o.node.c_str(), O_PATH | O_CLOEXEC));
  if (!r.node) {
    say("no node: %s; give its path with --node", o.node.empty() ? "it is not in PATH" : o.node.c_str());
    return kExitStartup;
  }
  if (!o.audit.empty()) {
    r.audit.reset(open(o.audit.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!r.audit) {
      say("%s: %s", o.audit.c_str(), strerrordesc_np(errno));
      return kExitStartup;
    }
  }
  r.pointer_pmus_known = read_pointer_pmus(r.pointer_pmus);
  if ((o.ceiling & protocol::kTracepoint) != 0) r.tracepoints = collect_tracepoints();
  r.listener = make_listener(o);
  return r.listener.fd ? -1 : static_cast<int>(kExitSocket);
}

std::vector<std::string> broker_arguments(const Options& o, const Resources& r, const Capability& capability) {
  const auto* path = r.listener.address.value.sun_path;
  const size_t length = strnlen(path, r.listener.address.length - sizeof(sa_family_t));
  std::vector<std::string> arguments = {
      "--socket",     length > 0 ? std::string(path, length) : o.socket, "--ceiling",  ceiling_names(o.ceiling),
      "--capability", capability.name,                                   "--paranoid", std::to_string(read_paranoid_level()),
      "--log-level",  o.log_level};
  const auto add = [&arguments](const char* name, std::string value) {
    arguments.emplace_back(name);
    arguments.push_back(std::move(value));
  };
  if (!o.policy.empty()) add("--policy", o.policy);
  if (r.audit) add("--audit-fd", "5");
  if (r.tracepoints) add("--tracepoints-fd", "6");
  return arguments;
}

int start(const Options& o, Resources& r, const Capability& capability, uint64_t held, bool change_ids) {
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&handled, number);
  sigprocmask(SIG_SETMASK, &handled, nullptr);
  signal(SIGCHLD, SIG_DFL);
  const UniqueFd signals(signalfd(-1, &handled, SFD_CLOEXEC));
  int ends[2];
  if (!signals || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return kExitStartup;
  UniqueFd opener_end(ends[0]), broker_end(ends[1]);
  fcntl(broker_end.get(), F_SETFL, O_NONBLOCK);

  const uid_t b = o.broker.uid, w = o.opener.uid;
  const uint64_t keep = (cap_bit(capability.number) | cap_bit(CAP_IPC_LOCK)) & held;
  const Privileges opener_privileges{"opener", change_ids, w, w, w, o.opener.gid, keep};
  const Privileges broker_privileges{"broker", change_ids, b, b, b, o.broker.gid, 0};
  // kill(2), and the parent-death signal with it, go by the sender's real and effective uid: with one of each part's the
  // monitor can end both without CAP_KILL. Real and saved are the opener's, so that the broker can not signal it.
  const Privileges monitor_privileges{"monitor", change_ids, w, b, w, o.broker.gid, 0};

  OpenerConfig config;
  config.socket = opener_end.get();
  config.proc_dir = r.proc_dir.get();
  config.listener = r.listener.address;
  config.ceiling = o.ceiling;
  config.forbidden_types = r.pointer_pmus;
  config.forbid_dynamic_types = !r.pointer_pmus_known;
  Part opener = start_opener(opener_privileges, config);
  if (const int code = read_status_byte(opener); code != 0) return code > 0 ? code : static_cast<int>(kExitPartDied);

  const BrokerFds fds{r.listener.fd.get(), broker_end.get(), r.audit ? r.audit.get() : -1,
                      r.tracepoints ? r.tracepoints.get() : -1, r.root.get(), r.node.get(), r.proc_dir.get()};
  Part broker = start_broker(broker_privileges, fds, o.node, broker_arguments(o, r, capability), o.policy);
  if (const int code = read_status_byte(broker); code != 0) return code > 0 ? code : static_cast<int>(kExitPartDied);

  // From here on a failure ends this process, and the parent-death signal the others. Nothing is freed behind the
  // filter, which knows no munmap: it ends by _exit.
  const UniqueFd proc_dir = std::move(r.proc_dir);
  r = {};
  opener_end.reset();
  broker_end.reset();
  clearenv();
  const bool dropped = drop_privileges(monitor_privileges) && install_monitor_filter() == 0 &&
                       prove_privileges(monitor_privileges, proc_dir.get());
  if (!dropped) _exit(kExitProof);
  if (write(broker.go.get(), "g", 1) != 1) _exit(kExitPartDied);
  if (const int code = read_status_byte(broker); code > 0) _exit(code);
  _exit(supervise(opener, broker, signals.get()));
}

int run(int argc, char** argv) {
  fix_standard_fds();
  Options options;
  if (const int code = parse_options(argc, argv, options); code >= 0) return code;
  if (getauxval(AT_SECURE) != 0) {
    say("started setuid, setgid or with file capabilities: whoever starts it so could serve a policy of his own. Start "
        "it as root, or from a systemd unit with AmbientCapabilities=");
    return kExitNoCapability;
  }
  signal(SIGCHLD, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  const auto capability = find_capability();
  if (!capability) return kExitNoCapability;
  const uint64_t held = get_caps()->permitted;
  const uint64_t ids = cap_bit(CAP_SETUID) | cap_bit(CAP_SETGID);
  const bool change_ids = (held & ids) == ids;
  if (!change_ids) {
    if (getuid() == 0 || geteuid() == 0) {
      say("root without CAP_SETUID and CAP_SETGID can not become another user; start it as one");
      return kExitStartup;
    }
    say("warning: without CAP_SETUID and CAP_SETGID opener and broker both run as uid %u", getuid());
    options.broker = options.opener = {getuid(), getgid()};
  }
  Resources resources;
  if (const int code = open_resources(options, resources); code >= 0) return code;
  return start(options, resources, *capability, held, change_ids);
}

}  // namespace
}  // namespace perfbroker

int main(int argc, char** argv) { return perfbroker::run(argc, argv); }
