// Processes for the opener's tests, which drive it directly, as root, with clients and targets
// under made-up uids. Each is ended with its object.
#pragma once

#include <sched.h>

#include <functional>

#include "core/caps.h"
#include "core/scm.h"
#include "monitor/drop.h"
#include "opener/opener.h"
#include "test/harness.h"

namespace harness {

using namespace perfbroker;

constexpr uid_t kAlice = 60123, kBob = 60124;

#define STATUS(answer, wanted) EQUAL((answer).reply.status, perfbroker::protocol::Status::wanted)

inline int proc_fd() {
  static const UniqueFd directory(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return directory.get();
}

// The effective capabilities go with the uid; dumpability is restored, as a program that was
// started so would have it.
inline void become(uid_t uid) {
  if (setgroups(0, nullptr) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
    _exit(70);
  prctl(PR_SET_DUMPABLE, 1);
}

// A child that runs a function with one end of a socketpair; the parent keeps the other.
class Child {
 public:
  explicit Child(const std::function<void(int)>& body) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    socket_.reset(ends[0]);
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      body(ends[1]);
      _exit(0);
    }
    close(ends[1]);
    pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  }
  Child(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    wait();
  }

  void say(char c) { CHECK(send(socket_.get(), &c, 1, MSG_NOSIGNAL) == 1); }
  char hear() {
    char c = 0;
    CHECK(recv(socket_.get(), &c, 1, 0) == 1);
    return c;
  }
  void end() {
    kill(pid_, SIGKILL);
    wait();
  }
  // The exit code; negative: minus the signal.
  int wait() {
    if (pid_ <= 0) return 0;
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  int socket() const { return socket_.get(); }

 private:
  UniqueFd socket_, pidfd_;
  pid_t pid_ = -1;
};

// Sends 'r', then does one thing for each byte that it gets, and answers with 'd'.
inline std::function<void(int)> target_body(
    uid_t uid, const std::function<void(char)>& on_command = {}) {
  return [=](int socket) {
    if (uid != 0) become(uid);
    char c = 'r';
    do {
      if (c != 'r') {
        on_command(c);
        c = 'd';
      }
      if (send(socket, &c, 1, MSG_NOSIGNAL) != 1) return;
    } while (recv(socket, &c, 1, 0) == 1);
  };
}

class Target : public Child {
 public:
  explicit Target(uid_t uid, const std::function<void(char)>& on_command = {})
      : Child(target_body(uid, on_command)) {
    EQUAL(hear(), 'r');
  }
  void command(char c) {
    say(c);
    EQUAL(hear(), 'd');
  }
};

// A listening socket in a directory of its own that other users may search.
class Socket {
 public:
  Socket() {
    CHECK(mkdtemp(directory_) != nullptr && chmod(directory_, 0755) == 0);
    fd.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    path = std::string(directory_) + "/socket";
    SocketAddress wanted{{AF_UNIX, {}}, sizeof(sockaddr_un)};
    strcpy(wanted.value.sun_path, path.c_str());
    CHECK(bind(fd.get(), reinterpret_cast<sockaddr*>(&wanted.value), wanted.length) == 0);
    CHECK(chmod(path.c_str(), 0666) == 0 && listen(fd.get(), 8) == 0 &&
          read_address(fd.get(), address));
  }
  ~Socket() {
    unlink(path.c_str());
    rmdir(directory_);
  }
  UniqueFd fd;
  std::string path;
  SocketAddress address{};

 private:
  char directory_[32] = "/tmp/perfbroker-test-XXXXXX";
};

// A process that connects, as a user, and stays; and the connection's accepted end.
class Connection {
 public:
  Connection(const Socket& socket, uid_t uid, const std::function<void(char)>& on_command = {})
      : client([&socket, uid, on_command](int channel) {
          if (uid != 0) become(uid);
          const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
          if (connect(fd, reinterpret_cast<const sockaddr*>(&socket.address.value),
                  socket.address.length) != 0)
            _exit(71);
          target_body(0, on_command)(channel);
        }) {
    accepted.reset(accept4(socket.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EQUAL(client.hear(), 'r');
  }
  Child client;
  UniqueFd accepted;
};

// The opener's own loop, with its privileges dropped as perfbrokerd does it, but without the system
// call filter: the sanitizers need more than that allows.
class Opener : public Child {
 public:
  explicit Opener(const Socket& socket, uint32_t ceiling, std::vector<uint32_t> forbidden = {},
      const std::function<void()>& prepare = {})
      : Child([&](int channel) {
          if (prepare) prepare();
          const uint64_t keep = cap_bit(CAP_PERFMON) | cap_bit(CAP_IPC_LOCK);
          if (!drop_privileges({"opener", true, true, 60911, 60911, 60911, 60911, keep})) _exit(72);
          Workers workers(kMostWorkers);
          _exit(serve_opener({{channel, proc_fd(), socket.address}, ceiling, forbidden}, workers));
        }) {
    protocol::Reply ready{};
    EQUAL(recv(this->socket(), &ready, sizeof ready, 0), sizeof ready);
    EQUAL(ready.serial, 0);
    CHECK(ready.status == protocol::Status::kReleased);
  }

  // Its worker exists, with its rings, as long as the channel is open.
  struct Answer {
    protocol::Reply reply{};
    std::vector<UniqueFd> fds;
    UniqueFd channel;
  };

  // A worker's channel.
  UniqueFd begin() {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd theirs(ends[1]);
    const int fds[] = {theirs.get()};
    CHECK(bool(send_message(socket(), "c", 1, fds, 0)));
    return UniqueFd(ends[0]);
  }
  // On a channel of its own, which is returned.
  UniqueFd send_request(const protocol::Request& request, std::span<const int> fds) {
    UniqueFd channel = begin();
    CHECK(bool(send_message(channel.get(), &request, sizeof request, fds, 0)));
    return channel;
  }
  static Answer receive_reply(UniqueFd channel) {
    Answer answer;
    answer.fds.resize(kMaxMessageFds);
    const std::optional<Received> received =
        receive_message(channel.get(), &answer.reply, sizeof answer.reply, answer.fds, 0);
    CHECK(bool(received));
    EQUAL(received->bytes, sizeof answer.reply);
    EQUAL(received->fd_count, answer.reply.fd_count);
    answer.fds.resize(received->fd_count);
    answer.channel = std::move(channel);
    return answer;
  }
  Answer ask(const protocol::Request& request, std::span<const int> fds) {
    return receive_reply(send_request(request, fds));
  }

  protocol::Status ping() {
    protocol::Request request{};
    request.version = protocol::kVersion;
    request.type = protocol::RequestType::kRelease;
    request.serial = ~0u;
    return ask(request, {}).reply.status;
  }

  // Counts the fds of the opener itself, which holds no fd of a request.
  size_t count_fds() const {
    size_t count = 0;
    DIR* directory = opendir(("/proc/" + std::to_string(pid()) + "/fd").c_str());
    CHECK(directory != nullptr);
    while (directory != nullptr && readdir(directory) != nullptr) count++;
    closedir(directory);
    return count;
  }

  std::vector<pid_t> workers() const {
    std::vector<pid_t> found;
    const std::string path =
        "/proc/" + std::to_string(pid()) + "/task/" + std::to_string(pid()) + "/children";
    FILE* children = fopen(path.c_str(), "re");
    CHECK(children != nullptr);
    for (pid_t child; children != nullptr && fscanf(children, "%d", &child) == 1;)
      found.push_back(child);
    if (children != nullptr) fclose(children);
    return found;
  }

  // Until no more than `most` workers are left; those that wait for a request count as well.
  void await_workers(size_t most) const {
    for (int i = 0; i < 5000 && workers().size() > most; i++) usleep(2000);
    CHECK(workers().size() <= most);
  }

  // Bytes of rings that workers have mapped.
  size_t ring_bytes() const {
    size_t bytes = 0;
    for (const pid_t worker : workers()) bytes += ring_bytes_of(worker);
    return bytes;
  }

 private:
  static constexpr size_t kMostWorkers = 64;

  static size_t ring_bytes_of(pid_t worker) {
    size_t bytes = 0;
    FILE* maps = fopen(("/proc/" + std::to_string(worker) + "/maps").c_str(), "re");
    char line[512];
    while (maps != nullptr && fgets(line, sizeof line, maps) != nullptr) {
      size_t from = 0, to = 0;
      if (strstr(line, "[perf_event]") != nullptr && sscanf(line, "%zx-%zx", &from, &to) == 2)
        bytes += to - from;
    }
    if (maps != nullptr) fclose(maps);
    return bytes;
  }
};

inline protocol::Identity identity_of(int pidfd) {
  Process process;
  protocol::Identity identity{};
  CHECK(
      open_process(proc_fd(), pidfd, process) && read_identity(process.directory.get(), identity));
  return identity;
}

// One task-clock event, user mode only, on the target's first thread.
inline protocol::Request request_for(const Child& target) {
  using namespace protocol;
  Request r{};
  r.version = kVersion;
  r.type = RequestType::kOpen;
  r.serial = 1;
  r.target = TargetKind::kProcess;
  r.event_count = r.slot_count = 1;
  r.events[0].type = PERF_TYPE_SOFTWARE;
  r.events[0].config = PERF_COUNT_SW_TASK_CLOCK;
  r.events[0].flags = kExcludeKernel;
  r.slots[0] = {target.pid(), -1, 0, kNoLeader};
  r.expected = identity_of(target.pidfd());
  return r;
}

}  // namespace harness
