// The Ring object: the records of one ring, for JavaScript to read.
#include <memory>
#include <optional>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/event_ring.h"
#include "addon/event_set.h"
#include "addon/function.h"
#include "addon/records.h"

namespace perfbroker::addon {
namespace {

class Ring {
 public:
  Ring(Napi::Env env, int fd, size_t pages) {
    Result<EventSet> events = EventSet::create();
    if (!events) throw system_error(env, events.error());
    events_ = std::move(*events);
    Result<EventRing> ring = EventRing::map(fd, pages);
    if (!ring) throw system_error(env, ring.error());
    ring_ = std::move(*ring);
    if (std::optional<Error> error = events_.add_event(fd, events_.add_ring()))
      throw system_error(env, *error);
  }

  int poll_fd() const { return events_.fd(); }

  void add_event(Napi::Env env, int fd) {
    check_open(env);
    std::optional<Error> error = redirect_event(fd, ring_);
    if (!error) error = events_.add_event(fd, 0);
    if (error) throw system_error(env, *error);
  }

  Napi::Value read(Napi::Env env, std::span<uint8_t> into) {
    check_open(env);
    // Before the ring is read: what an event wrote before it ended is then certainly seen. It
    // clears the readiness of pollFd, which is why the caller has to go on until nothing comes.
    if (std::optional<Error> error = events_.wait(0)) throw system_error(env, *error);
    const bool ended = events_.live_events(0) == 0;
    Result<RingBytes> unread = ring_.unread();
    if (!unread) throw system_error(env, unread.error());
    RecordCounts counts;
    Result<size_t> bytes = count_records(*unread, into.size(), counts);
    if (!bytes) throw system_error(env, bytes.error());
    unread->copy_to(into.data(), *bytes);
    const bool all = *bytes == unread->size();
    ring_.release(*bytes);

    Napi::Object result = Napi::Object::New(env);
    result.Set("bytes", Napi::Number::New(env, static_cast<double>(*bytes)));
    result.Set("lost", Napi::BigInt::New(env, counts.lost));
    result.Set("ended", Napi::Boolean::New(env, ended && all));
    return result;
  }

  void close() {
    closed_ = true;
    ring_ = EventRing();
    events_ = EventSet();
  }

 private:
  void check_open(Napi::Env env) const {
    if (closed_) throw system_error(env, EBADF, "read");
  }

  EventRing ring_;
  EventSet events_;
  bool closed_ = false;
};

Napi::Value create_ring(const Napi::CallbackInfo& info) {
  const int fd = fd_argument(info, 0);
  auto ring = std::make_shared<Ring>(info.Env(), fd, pages_argument(info, 1, "pages"));
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("pollFd", Napi::Number::New(info.Env(), ring->poll_fd()));
  set_function(result, "addEvent", [ring](const Napi::CallbackInfo& call) {
    ring->add_event(call.Env(), fd_argument(call, 0));
    return call.Env().Undefined();
  });
  set_function(result, "read", [ring](const Napi::CallbackInfo& call) {
    // With room for the longest record there is never one that does not fit.
    return ring->read(call.Env(), bytes_argument(call, 0, "into", kMaxRecordBytes));
  });
  set_function(result, "close", [ring](const Napi::CallbackInfo& call) {
    ring->close();
    return call.Env().Undefined();
  });
  return result;
}

}  // namespace

void export_ring(Napi::Object exports) { set_function(exports, "createRing", create_ring); }

}  // namespace perfbroker::addon
