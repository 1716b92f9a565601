// Readiness of one fd on the event loop (uv_poll).
#include <memory>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/callback.h"
#include "addon/function.h"
#include "addon/uv_handle.h"

namespace perfbroker::addon {
namespace {

constexpr int kAllEvents = UV_READABLE | UV_WRITABLE | UV_DISCONNECT | UV_PRIORITIZED;

class Poller : public std::enable_shared_from_this<Poller> {
 public:
  Poller(int fd, Napi::Function on_ready)
      : callback_(on_ready, "perfbroker:poller"),
        handle_(
            on_ready.Env(), this, "uv_poll_init",
            [fd](uv_loop_t* loop, uv_poll_t* handle) { return uv_poll_init(loop, handle, fd); },
            [this] { close(); }) {}

  void start(Napi::Env env, int events) {
    if (handle_.get() == nullptr) throw system_error(env, EBADF, "uv_poll_start");
    int status = uv_poll_start(handle_.get(), events, &Poller::on_ready);
    if (status != 0) throw uv_error(env, status, "uv_poll_start");
    // The loop calls it now, so it must live even if JavaScript forgets it.
    self_ = shared_from_this();
  }

  void stop() {
    if (handle_.get() == nullptr) return;
    uv_poll_stop(handle_.get());
    // The caller holds it: a function of JavaScript's object, on_ready, or `close`.
    self_.reset();
  }

  void close() {
    std::shared_ptr<Poller> keep = self_;
    stop();
    handle_.close();
    callback_.reset();
  }

 private:
  static void on_ready(uv_poll_t* handle, int status, int events) {
    if (handle->data == nullptr) return;
    std::shared_ptr<Poller> poller = static_cast<Poller*>(handle->data)->shared_from_this();
    poller->callback_.call([&](Napi::Env env) -> std::vector<napi_value> {
      return {Napi::Number::New(env, status), Napi::Number::New(env, events)};
    });
  }

  Callback callback_;
  UvHandle<uv_poll_t> handle_;
  std::shared_ptr<Poller> self_;
};

Napi::Value create_poller(const Napi::CallbackInfo& info) {
  int fd = fd_argument(info, 0);
  auto poller = std::make_shared<Poller>(fd, function_argument(info, 1, "onReady"));
  Napi::Object result = Napi::Object::New(info.Env());
  set_function(result, "start", [poller](const Napi::CallbackInfo& call) {
    int events = int32_argument(call, 0, "events", 1, kAllEvents);
    poller->start(call.Env(), events);
    return call.Env().Undefined();
  });
  set_function(result, "stop", [poller](const Napi::CallbackInfo& call) {
    poller->stop();
    return call.Env().Undefined();
  });
  set_function(result, "close", [poller](const Napi::CallbackInfo& call) {
    poller->close();
    return call.Env().Undefined();
  });
  return result;
}

}  // namespace

void export_poller(Napi::Object exports) { set_function(exports, "createPoller", create_poller); }

}  // namespace perfbroker::addon
