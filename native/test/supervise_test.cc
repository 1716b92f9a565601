// Reactions of the monitor to the deaths of its helper processes.
#include "monitor/supervise.h"

#include <sys/signalfd.h>

#include "test/harness.h"

using namespace perfbroker;

namespace {

pid_t start(void (*body)()) {
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(120);
    body();
    _exit(0);
  }
  return pid;
}

// Supervises a broker and an opener; messages go to `said`.
int supervise_both(void (*broker)(), void (*opener)(), std::string& said) {
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGCHLD, SIGALRM}) sigaddset(&handled, number);
  sigprocmask(SIG_SETMASK, &handled, nullptr);
  const UniqueFd signals(signalfd(-1, &handled, SFD_CLOEXEC));
  int ends[2];
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  dup2(ends[1], STDERR_FILENO);
  close(ends[1]);
  ChildProcess children[] = {{"opener", start(opener)}, {"broker", start(broker)}};
  const int code = supervise(children, children[1], signals.get());
  close(STDERR_FILENO);
  char text[4096];
  for (ssize_t bytes; (bytes = read(ends[0], text, sizeof text)) > 0;)
    said.append(text, static_cast<size_t>(bytes));
  close(ends[0]);
  return code;
}

}  // namespace

TEST("the death of a process is reported, though the broker that ended for it was gone before") {
  std::string said;
  EQUAL(supervise_both([] { _exit(kHelperDied); },
            [] {
              usleep(300'000);
              raise(SIGKILL);
            },
            said),
      kHelperDied);
  CHECK(said.find("the opener (pid ") != said.npos &&
        said.find("was killed by signal 9; ending\n") != said.npos);
  CHECK(said.find("the broker") == said.npos);
}

TEST("the death of a broker by itself is reported, and not its consequences") {
  std::string said;
  EQUAL(supervise_both([] { _exit(1); },
            [] {
              usleep(300'000);
              _exit(70);
            },
            said),
      kHelperDied);
  CHECK(said.find("the broker (pid ") != said.npos &&
        said.find("exited with code 1; ending\n") != said.npos);
  CHECK(said.find("the opener") == said.npos);
}

TEST("a broker that cannot start ends the daemon with a code of its own") {
  std::string said;
  EQUAL(supervise_both([] { _exit(kStartup); }, [] { usleep(300'000); }, said), kStartup);
  CHECK(said.find("the broker (pid ") != said.npos &&
        said.find("exited with code 7; ending\n") != said.npos);
}

TEST("a broker whose sockets have closed is given five seconds, and then killed") {
  std::string said;
  EQUAL(supervise_both(
            [] {
              signal(SIGTERM, SIG_IGN);
              alarm(0);
              pause();
            },
            [] {}, said),
      kHelperDied);
  CHECK(said.find("not everything has ended within 5 s; killing it\n") != said.npos);
}

TEST("a broker that exits cleanly ends the others, and nothing is logged") {
  std::string said;
  EQUAL(supervise_both([] {}, [] { usleep(300'000); }, said), kOrdered);
  CHECK(said.empty());
}
