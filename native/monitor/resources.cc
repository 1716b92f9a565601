#include "monitor/resources.h"

#include "core/log.h"
#include "monitor/exit_code.h"
#include "monitor/kernel_tables.h"

namespace perfbroker {

namespace {

// Opens the directory above dist/; this program is dist/bin/perfbrokerd.
UniqueFd open_install_root() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  std::string root(path, static_cast<size_t>(std::max<ssize_t>(0, length)));
  for (int levels = 0; levels < 3; levels++) root = root.substr(0, root.rfind('/'));
  root += "/";
  UniqueFd fd(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd && faccessat(fd.get(), "dist/broker/main.js", F_OK, 0) == 0) return fd;
  log_error("%sdist/broker/main.js is missing: the tree has not been built (npm run build)",
      root.c_str());
  return {};
}

// The broker's end does not block.
bool connect_helper(UniqueFd& helper, UniqueFd& broker) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
  helper.reset(ends[0]);
  broker.reset(ends[1]);
  return fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0;
}

}  // namespace

int open_resources(const Options& o, Resources& r) {
  r.proc_dir.reset(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  r.root = open_install_root();
  if (!r.proc_dir || !r.root || !connect_helper(r.opener_end, r.broker_end)) return kStartup;
  if (o.with_tracer && !connect_helper(r.tracer_end, r.tracer_broker_end)) return kStartup;
  if (!o.audit.empty()) {
    constexpr int append = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    r.audit.reset(open(o.audit.c_str(), append, 0640));
    if (!r.audit) {
      log_error("%s: %s", o.audit.c_str(), strerrordesc_np(errno));
      return kStartup;
    }
  }
  r.pointer_pmus = read_pointer_pmus();
  if ((o.classes & protocol::kTracepoint) != 0) r.tracepoints = collect_tracepoints();
  r.listener = make_listener(o);
  return r.listener.fd ? -1 : kSocket;
}

}  // namespace perfbroker
