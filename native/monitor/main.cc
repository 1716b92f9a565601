// perfbrokerd: started with privilege, it finds out what the kernel demands, binds the socket,
// starts the opener and the broker, and gives up what it has. It then only waits for its parts.
#include <sys/auxv.h>

#include "monitor/kernel_tables.h"
#include "monitor/supervise.h"
#include "monitor/trial.h"
#include "tracer/part.h"

using namespace perfbroker;

namespace {

// 0, 1 and 2 exist, and stdin is nobody's.
void fix_standard_fds() {
  int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  while (null >= 0 && null <= STDERR_FILENO) null = dup(null);
  close(null);
}

// What is opened with privilege and used without.
struct Resources {
  Listener listener;
  UniqueFd proc_dir, root, audit, tracepoints, opener_end, broker_end, tracer_end,
      tracer_broker_end;
  std::vector<uint32_t> pointer_pmus;
};

// The directory above dist/, by where this program lies: dist/bin/perfbrokerd.
UniqueFd open_install_root() {
  char path[4096];
  std::string_view root(path,
      static_cast<size_t>(std::max<ssize_t>(0, readlink("/proc/self/exe", path, sizeof path))));
  for (int levels = 0; levels < 3 && !root.empty(); levels++)
    root = root.substr(0, root.rfind('/'));
  UniqueFd fd(open((std::string(root) + "/").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd && faccessat(fd.get(), "dist/broker/main.js", F_OK, 0) == 0) return fd;
  log_error("%s/dist/broker/main.js is missing: the tree has not been built (npm run build)",
      std::string(root).c_str());
  return {};
}

int open_resources(const Options& o, Resources& r) {
  r.proc_dir.reset(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  r.root = open_install_root();
  if (!r.proc_dir || !r.root) return kStartup;
  if (!o.audit.empty()) {
    r.audit.reset(
        open(o.audit.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!r.audit)
      return log_error("%s: %s", o.audit.c_str(), strerrordesc_np(errno)),
             static_cast<int>(kStartup);
  }
  r.pointer_pmus = read_pointer_pmus();
  if ((o.classes & protocol::kTracepoint) != 0) r.tracepoints = collect_tracepoints();
  r.listener = make_listener(o);
  return r.listener.fd ? -1 : static_cast<int>(kSocket);
}

// Node through the working directory, which was chosen as root: no right on the directories above
// it is needed. A small young generation and no compiler: a fifth less memory, nothing that is
// writable and executable, so that the unit can forbid it, for a little time. The memory reducer
// would wake up an idle broker.
std::vector<std::string> broker_argv(const Options& o, const Resources& r, unsigned capability) {
  const char* name = r.listener.address.value.sun_path;
  const std::string socket(name, strnlen(name, r.listener.address.length - sizeof(sa_family_t)));
  std::vector<std::string> argv = {o.node, "", "--max-semi-space-size=1", "--jitless",
      "--no-memory-reducer", "--disable-proto=delete", "--preserve-symlinks",
      "--disallow-code-generation-from-strings", "--preserve-symlinks-main",
      "/proc/self/cwd/dist/broker/main.js", "--socket", socket.empty() ? o.socket : socket,
      "--ceiling", o.ceiling, "--capability", std::string("CAP_") + cap_name(capability),
      "--log-level", o.log_level, "--ready-fd", "8"};
  if (!o.policy.empty()) argv.insert(argv.end(), {"--policy", o.policy});
  if (r.audit) argv.insert(argv.end(), {"--audit-fd", "5"});
  if (r.tracepoints) argv.insert(argv.end(), {"--tracepoints-fd", "6"});
  if (r.tracer_broker_end) argv.insert(argv.end(), {"--tracer-fd", "7"});
  return argv;
}

// Returns a code only on failure, which ends this process, and through the parent-death signal the
// others.
int start(const Options& o, Resources& r, unsigned capability, uint64_t held, bool change_ids) {
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGALRM}) sigaddset(&handled, number);
  sigprocmask(SIG_SETMASK, &handled, nullptr);
  const UniqueFd signals(signalfd(-1, &handled, SFD_CLOEXEC));
  int ends[2];
  if (!signals || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return kStartup;
  if (!make_tracer_ends(o, held, r.tracer_end, r.tracer_broker_end)) return kNoCapability;
  r.opener_end.reset(ends[0]);
  r.broker_end.reset(ends[1]);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);

  const uid_t b = o.broker.uid, w = o.opener.uid;
  const bool seal = (held & cap_bit(CAP_SETPCAP)) != 0;
  const uint64_t keep = (cap_bit(capability) | cap_bit(CAP_IPC_LOCK)) & held;
  const Privileges opener_privileges{"opener", change_ids, seal, w, w, w, o.opener.gid, keep};
  const Privileges broker_privileges{"broker", change_ids, seal, b, b, b, o.broker.gid, 0};
  // kill(2), and the parent-death signal with it, go by the sender's real and effective uid: with
  // one of each part's the monitor can end both without CAP_KILL. Real and saved are the opener's,
  // so that the broker can not signal it.
  const Privileges own{"monitor", change_ids, seal, w, b, w, o.broker.gid, 0};

  OpenerConfig config{
      r.opener_end.get(), r.proc_dir.get(), r.listener.address, o.classes, r.pointer_pmus};
  const BrokerStart broker_start{{r.listener.fd.get(), r.broker_end.get(), r.audit.get(),
                                     r.tracepoints.get(), r.tracer_broker_end.get()},
      r.root.get(), r.proc_dir.get(), o.policy, broker_argv(o, r, capability)};
  Part parts[] = {
      start_part("opener",
          [&](int channel, pid_t self) { run_opener(opener_privileges, config, channel, self); }),
      start_part("broker",
          [&](int channel, pid_t self) {
            run_broker(broker_privileges, broker_start, channel, self);
          }),
      o.with_tracer != 0 ? start_tracer(o, {r.tracer_end.get(), config.proc_dir, config.listener},
                               change_ids, seal, w)
                         : Part{}};
  for (const Part& part : std::span(parts, 2 + o.with_tracer)) {
    const int code = receive_byte(part.channel.get());
    if (code < 0) log_error("the %s ended before it was ready", part.name);
    if (code != 0) return code > 0 ? code : static_cast<int>(kPartDied);
  }
  // Nothing is freed behind the filter, which knows no munmap: it ends by _exit.
  const UniqueFd proc_dir = std::move(r.proc_dir);
  r = {};
  clearenv();
  if (!drop_privileges(own) || install_monitor_filter() != 0 ||
      !prove_privileges(own, proc_dir.get()))
    _exit(kProof);
  // The broker goes on, and says when it heeds signals, which wait until then; or the code to exit
  // with. Or it has ended.
  if (const int code = (send_byte(parts[1].channel.get(), 0), receive_byte(parts[1].channel.get()));
      code > 0)
    _exit(code);
  _exit(supervise(parts, parts[1], signals.get()));
}

}  // namespace

int main(int argc, char** argv) {
  fix_standard_fds();
  Options options;
  if (const int code =
          parse_options(std::span(argv, static_cast<size_t>(argc)).subspan(argc > 0), options);
      code >= 0)
    return code;
  if (getauxval(AT_SECURE) != 0) {
    // Whoever starts it so could serve a policy of his own.
    log_error(
        "not from a setuid file or one with capabilities: start it as root, or with systemd's "
        "AmbientCapabilities=");
    return kNoCapability;
  }
  umask(022);
  signal(SIGCHLD, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  const uint64_t held = get_caps().permitted;
  const unsigned capability = find_capability(held);
  if (capability == 0) return kNoCapability;
  const uint64_t ids = cap_bit(CAP_SETUID) | cap_bit(CAP_SETGID);
  const bool change_ids = (held & ids) == ids;
  if (!change_ids) {
    log_error("%s: without CAP_SETUID and CAP_SETGID all parts run as uid %u",
        getuid() == 0 ? "refused" : "warning", getuid());
    if (getuid() == 0 || geteuid() == 0) return kStartup;
    options.broker = options.opener = options.tracer = {getuid(), getgid()};
  }
  Resources resources;
  if (const int code = open_resources(options, resources); code >= 0) return code;
  return start(options, resources, capability, held, change_ids);
}
