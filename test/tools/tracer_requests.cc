// A compromised broker, towards the tracer: each argument names a message that is sent to a tracer
// of its own. Prints "NAME exit CODE" when the tracer ended, else "NAME status N" for its answer.
// Needs root, for the contents of the replies.
#include <unistd.h>

#include "core/scm.h"
#include "protocol/tracer.h"
#include "tracer/tracer.h"

using namespace perfbroker;
using namespace perfbroker::tracer_protocol;

namespace {

struct Message {
  Request request;
  size_t size = sizeof(Request);
  std::vector<int> fds;
};

bool spoil(const std::string& name, Message& m, const int pair[2], int pidfd) {
  m.request = {kVersion, 1, 0, 100, 1, {}};
  m.fds = {pair[0], pidfd};
  if (name == "version")
    m.request.version++;
  else if (name == "serial")
    m.request.serial = 0;
  else if (name == "flags")
    m.request.flags = kAllFlags + 1;
  else if (name == "no-deadline")
    m.request.deadline = 0;
  else if (name == "long-deadline")
    m.request.deadline = kMaxDeadline + 1;
  else if (name == "nothing")
    m.request.drop = 0;
  else if (name == "reserved")
    m.request.expected.reserved = 1;
  else if (name == "dumpable")
    m.request.expected.dumpable = 2;
  else if (name == "no-fds")
    m.fds.clear();
  else if (name == "one-fd")
    m.fds.pop_back();
  else if (name == "three-fds")
    m.fds.push_back(pidfd);
  else if (name == "short")
    m.size--;
  else if (name == "long")
    m.size++;
  else if (name == "foreign-connection")
    m.fds[0] = pair[0];
  else if (name == "no-socket")
    m.fds[0] = pidfd;
  else
    return false;
  return true;
}

void run(const std::string& name) {
  int ends[2], pair[2], channel[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 ||
      socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel) != 0 ||
      socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
    exit(3);
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  HelperConfig config;
  config.socket = ends[1];
  config.proc_dir = open("/proc", O_PATH | O_DIRECTORY);
  config.listener.value.sun_family = AF_UNIX;
  strcpy(config.listener.value.sun_path, "/nowhere");
  config.listener.length = offsetof(sockaddr_un, sun_path) + sizeof "/nowhere";
  const pid_t tracer = fork();
  if (tracer == 0) {
    close(ends[0]);
    close(channel[0]);
    close(channel[1]);
    Workers workers(4);
    _exit(serve_tracer(config, workers));
  }
  close(ends[1]);
  static Reply reply;
  Message m;
  if (read(ends[0], &reply, sizeof reply) != sizeof reply || !spoil(name, m, pair, pidfd)) exit(4);
  static char bytes[sizeof(Request) + 1];
  memcpy(bytes, &m.request, sizeof m.request);
  const int theirs[] = {channel[1]};
  if (!send_message(ends[0], "c", 1, theirs, 0) ||
      !send_message(channel[0], bytes, m.size, m.fds, 0))
    exit(5);
  close(channel[1]);
  const bool answered = read(channel[0], &reply, sizeof reply) == sizeof reply;
  close(channel[0]);
  close(ends[0]);
  int status = 0;
  waitpid(tracer, &status, 0);
  if (answered)
    printf("%s status %u\n", name.c_str(), static_cast<unsigned>(reply.status));
  else
    printf("%s exit %d\n", name.c_str(), WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

}  // namespace

int main(int count, char** names) {
  for (int i = 1; i < count; i++) run(names[i]);
}
