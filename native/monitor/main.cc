// perfbrokerd: started with privilege, it finds out which capability the kernel demands, binds the
// socket, starts the opener and the broker, and drops its privileges. From then on it only waits
// for its children.
#include <sys/auxv.h>
#include <sys/signalfd.h>

#include "core/caps.h"
#include "core/log.h"
#include "monitor/broker_process.h"
#include "monitor/helpers.h"
#include "monitor/supervise.h"
#include "monitor/trial.h"

using namespace perfbroker;

namespace {

// Makes sure that fds 0, 1 and 2 exist, and that stdin is empty.
void fix_standard_fds() {
  int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  while (null >= 0 && null <= STDERR_FILENO) null = dup(null);
  close(null);
}

// Blocks the signals that the monitor handles, and returns a signalfd of them.
UniqueFd block_signals() {
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGALRM}) sigaddset(&handled, number);
  sigprocmask(SIG_SETMASK, &handled, nullptr);
  return UniqueFd(signalfd(-1, &handled, SFD_CLOEXEC));
}

// capability: the one that the opener gets. held: permitted capabilities. change_ids: CAP_SETUID
// and CAP_SETGID are among them.
struct Capabilities {
  unsigned capability;
  uint64_t held;
  bool change_ids;
};

// Returns -1 when every child is ready, or the code to exit with.
int await_children(std::span<const ChildProcess> children) {
  for (const ChildProcess& child : children) {
    const int code = receive_byte(child.channel.get());
    if (code < 0) log_error("the %s ended before it was ready", child.name);
    if (code != 0) return code > 0 ? code : kHelperDied;
  }
  return -1;
}

// Returns a code only on failure. Exiting then ends the other processes by their parent-death
// signal.
int start(const Options& o, Resources& r, const Capabilities& c) {
  const UniqueFd signals = block_signals();
  if (!signals) return kStartup;
  const uid_t broker_uid = o.broker.uid, opener_uid = o.opener.uid, tracer_uid = o.tracer.uid;
  const bool seal = (c.held & cap_bit(CAP_SETPCAP)) != 0;
  const uint64_t opener_caps = (cap_bit(c.capability) | cap_bit(CAP_IPC_LOCK)) & c.held;
  // kill(2), and the parent-death signal with it, depend on the sender's real and effective uid:
  // with one uid of each, the monitor can end opener and broker without CAP_KILL. Its real and
  // saved uid are the opener's, so that the broker cannot signal it. The tracer's saved uid serves
  // the same end.
  const Privileges monitor{
      "monitor", c.change_ids, seal, opener_uid, broker_uid, opener_uid, o.broker.gid, 0};
  const Privileges opener{
      "opener", c.change_ids, seal, opener_uid, opener_uid, opener_uid, o.opener.gid, opener_caps};
  const Privileges broker{
      "broker", c.change_ids, seal, broker_uid, broker_uid, broker_uid, o.broker.gid, 0};
  const Privileges tracer{"tracer", c.change_ids, seal, tracer_uid, tracer_uid, opener_uid,
      o.tracer.gid, cap_bit(CAP_SYS_PTRACE)};

  const int proc = r.proc_dir.get();
  const auto& listener = r.listener.address;
  ChildProcess children[3];
  children[0] =
      start_opener(opener, {{r.opener_end.get(), proc, listener}, o.classes, r.pointer_pmus});
  children[1] = start_broker(broker, o, r, c.capability);
  if (o.with_tracer) children[2] = start_tracer(tracer, {r.tracer_end.get(), proc, listener});
  const int failure = await_children(std::span(children, o.with_tracer ? 3 : 2));
  if (failure >= 0) return failure;
  // The filter does not allow munmap, so memory is freed before, and exit is by _exit.
  const UniqueFd proc_dir = std::move(r.proc_dir);
  r = {};
  clearenv();
  if (!drop_privileges(monitor) || install_monitor_filter() != 0) _exit(kProof);
  if (!prove_privileges(monitor, proc_dir.get())) _exit(kProof);
  // Lets the broker go on. It answers with 0 once it handles signals, which wait until then, or
  // with the code to exit with. It may also have ended.
  send_byte(children[1].channel.get(), 0);
  const int code = receive_byte(children[1].channel.get());
  if (code > 0) _exit(code);
  if (code < 0) log_error("the broker ended before it was ready");
  const int end = supervise(children, children[1], signals.get());
  // A program that is not node may exit with 0.
  _exit(code < 0 && end == kOrdered ? int{kHelperDied} : end);
}

}  // namespace

int main(int argc, char** argv) {
  fix_standard_fds();
  Options options;
  const std::span arguments(argv, static_cast<size_t>(argc));
  if (const int code = parse_options(arguments.subspan(argc > 0), options); code >= 0) return code;
  if (getauxval(AT_SECURE) != 0) {
    // The caller could make it serve a policy of its own.
    log_error(
        "not from a setuid file or one with capabilities: start it as root, or with systemd's "
        "AmbientCapabilities=");
    return kNoCapability;
  }
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < kLeastFiles) {
    log_error("the limit of open files is %lu; it must be %lu at least (ulimit -n, LimitNOFILE=)",
        files.rlim_cur, kLeastFiles);
    return kStartup;
  }
  umask(022);
  signal(SIGCHLD, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  const uint64_t held = get_caps().permitted;
  const unsigned capability = find_capability(held);
  if (capability == 0) return kNoCapability;
  if (options.with_tracer && (held & cap_bit(CAP_SYS_PTRACE)) == 0) {
    log_error("--with-tracer needs CAP_SYS_PTRACE");
    return kNoCapability;
  }
  const uint64_t ids = cap_bit(CAP_SETUID) | cap_bit(CAP_SETGID);
  const bool change_ids = (held & ids) == ids;
  if (!change_ids) {
    log_error("%s: without CAP_SETUID and CAP_SETGID all processes run as uid %u",
        getuid() == 0 ? "refused" : "warning", getuid());
    if (getuid() == 0 || geteuid() == 0) return kStartup;
    options.broker = options.opener = options.tracer = {getuid(), getgid()};
  }
  Resources resources;
  if (const int code = open_resources(options, resources); code >= 0) return code;
  return start(options, resources, {capability, held, change_ids});
}
