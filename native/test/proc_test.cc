#include "core/proc.h"

#include <time.h>
#include <unistd.h>

#include "core/caps.h"
#include "test/harness.h"

using namespace perfbroker;

namespace {

// A separate process for a test to read. It ends with the test.
class Sleeper {
 public:
  explicit Sleeper(void (*prepare)()) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      prepare();
      close(ends[1]);
      for (;;) pause();
    }
    close(ends[1]);
    char byte;
    CHECK(read(ends[0], &byte, 1) == 0);
    close(ends[0]);
  }
  ~Sleeper() { end(); }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }
  UniqueFd pidfd() const { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0))); }

 private:
  pid_t pid_;
};

void become_nobody() {
  CHECK(setgroups(0, nullptr) == 0 && setresgid(65534, 65534, 65534) == 0 &&
        setresuid(65534, 65534, 65534) == 0);
}

const UniqueFd& proc() {
  static const UniqueFd directory(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return directory;
}

constexpr char kStatus[] =
    "Name:\ta\\nUid:\t0\nUmask:\t0022\nState:\tS "
    "(sleeping)\nTgid:\t42\nNgid:\t0\nPid:\t43\nPPid:\t1\nTracerPid:\t0\n"
    "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t4 24 27 "
    "\nCapInh:\t0000000000000001\n"
    "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000002\nCapBnd:\t0000000000000003\nCapAmb:"
    "\t0000000000000004\n"
    "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

}  // namespace

TEST("a status file is read field by field") {
  TaskStatus s;
  CHECK(parse_status(kStatus, s));
  EQUAL(s.tgid, 42);
  for (uint32_t i = 0; i < 4; i++) EQUAL(s.uid[i], i + 1), EQUAL(s.gid[i], i + 5);
  EQUAL(s.group_count, 3);
  EQUAL(s.caps[kInheritable], 1);
  EQUAL(s.caps[kPermitted], 0x1ffffffffff);
  EQUAL(s.caps[kEffective], 2);
  EQUAL(s.caps[kBounding], 3);
  EQUAL(s.caps[kAmbient], 4);
  EQUAL(s.no_new_privs, 1);
  EQUAL(s.seccomp, 2);
}

TEST("a status file that is cut off anywhere is refused") {
  const std::string_view whole(kStatus);
  TaskStatus s;
  const size_t needed = whole.find("Seccomp:") + strlen("Seccomp:\t2");
  for (size_t length = 0; length < needed; length++)
    CHECK(!parse_status(whole.substr(0, length), s));
  CHECK(parse_status(whole.substr(0, needed), s));
}

TEST("the start time is found behind names that look like fields") {
  const std::string tail = " R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
  for (const char* name :
      {"cat", "a) R 1 (", ")", "((", "", "a b) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 9 ("}) {
    uint64_t ticks = 0;
    CHECK(parse_start_time("1 (" + std::string(name) + ")" + tail, ticks));
    EQUAL(ticks, 4711);
  }
  uint64_t ticks = 0;
  CHECK(!parse_start_time("", ticks));
  CHECK(!parse_start_time("1 (cat", ticks));
  CHECK(!parse_start_time("1 (cat) R 1 2 3", ticks));
}

ROOT_TEST("a real process with a misleading name has the ids and the start time that it has") {
  Sleeper sleeper([] {
    become_nobody();
    prctl(PR_SET_NAME, "a) R 1 (\nUid:");
    prctl(PR_SET_DUMPABLE, 1);
  });
  Process process;
  protocol::Identity identity;
  CHECK(open_process(proc().get(), sleeper.pidfd().get(), process));
  EQUAL(process.pid, sleeper.pid());
  CHECK(read_identity(process.directory.get(), identity));
  for (int i = 0; i < 3; i++) EQUAL(identity.uid[i], 65534), EQUAL(identity.gid[i], 65534);
  EQUAL(identity.permitted, 0);
  EQUAL(identity.dumpable, 1);
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const auto ticks = static_cast<uint64_t>(now.tv_sec * 100 + now.tv_nsec / 10'000'000);
  CHECK(identity.start_time <= ticks && identity.start_time + 3000 > ticks);
}

ROOT_TEST(
    "a task that is not dumpable shows in the owner of its status file and not in that of its "
    "directory") {
  Sleeper sleeper([] {
    become_nobody();
    prctl(PR_SET_DUMPABLE, 0);
  });
  Process process;
  protocol::Identity identity;
  CHECK(open_process(proc().get(), sleeper.pidfd().get(), process));
  CHECK(read_identity(process.directory.get(), identity));
  EQUAL(identity.dumpable, 0);
  struct stat directory;
  CHECK(stat(("/proc/" + std::to_string(sleeper.pid())).c_str(), &directory) == 0);
  EQUAL(directory.st_uid, 65534);
}

TEST("an open status file shows its task's end and never another task with the same number") {
  Sleeper sleeper([] {});
  const UniqueFd status(
      open(("/proc/" + std::to_string(sleeper.pid()) + "/status").c_str(), O_RDONLY));
  sleeper.end();
  TaskStatus s;
  CHECK(!read_status(status.get(), s));
  EQUAL(errno, ESRCH);
}

TEST("only a pidfd is accepted as a pidfd") {
  Process process;
  const UniqueFd null(open("/dev/null", O_RDONLY)),
      directory(open("/proc/self", O_RDONLY | O_DIRECTORY));
  for (const int fd : {null.get(), directory.get(), 999, -1}) {
    CHECK(!open_process(proc().get(), fd, process));
    EQUAL(errno, EBADF);
  }
}

TEST("a pidfd of an ended process gives ESRCH, reaped or not") {
  Process process;
  Sleeper sleeper([] {});
  const UniqueFd pidfd = sleeper.pidfd();
  kill(sleeper.pid(), SIGKILL);
  siginfo_t info;
  CHECK(waitid(P_PID, static_cast<id_t>(sleeper.pid()), &info, WEXITED | WNOWAIT) == 0);
  CHECK(!open_process(proc().get(), pidfd.get(), process));
  EQUAL(errno, ESRCH);
  sleeper.end();
  CHECK(!open_process(proc().get(), pidfd.get(), process));
  EQUAL(errno, ESRCH);
}

ROOT_TEST("a process in a user namespace of its own is distinguished from one in ours") {
  Sleeper inside([] { CHECK(unshare(CLONE_NEWUSER) == 0); });
  Sleeper outside([] {});
  Process process;
  CHECK(open_process(proc().get(), outside.pidfd().get(), process));
  CHECK(in_own_user_namespace(proc().get(), process.directory.get()));
  CHECK(open_process(proc().get(), inside.pidfd().get(), process));
  CHECK(!in_own_user_namespace(proc().get(), process.directory.get()));
}

TEST("a text that does not fit its buffer is refused with EOVERFLOW") {
  char small[8];
  std::string_view text;
  const UniqueFd status(open("/proc/self/status", O_RDONLY));
  CHECK(!read_text(status.get(), text, small));
  EQUAL(errno, EOVERFLOW);
}

TEST("capability names have the kernel's numbers") {
  CHECK(strcmp(cap_name(CAP_SYS_ADMIN), "SYS_ADMIN") == 0);
  CHECK(strcmp(cap_name(CAP_IPC_LOCK), "IPC_LOCK") == 0);
  CHECK(strcmp(cap_name(CAP_PERFMON), "PERFMON") == 0);
  CHECK(strcmp(cap_name(CAP_CHECKPOINT_RESTORE), "CHECKPOINT_RESTORE") == 0);
  CHECK(strcmp(cap_name(63), "(unknown)") == 0);
}
