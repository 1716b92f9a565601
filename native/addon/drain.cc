// The Drain object: DrainLoop for JavaScript.
#include <memory>
#include <optional>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/callback.h"
#include "addon/drain_loop.h"
#include "addon/function.h"
#include "addon/uv_handle.h"

namespace perfbroker::addon {
namespace {

Napi::Object stats_object(Napi::Env env, const DrainLoop::Stats& stats) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("bytes", Napi::BigInt::New(env, stats.bytes));
  result.Set("samples", Napi::BigInt::New(env, stats.counts.samples));
  result.Set("lost", Napi::BigInt::New(env, stats.counts.lost));
  result.Set("throttled", Napi::BigInt::New(env, stats.counts.throttled));
  result.Set("records", Napi::BigInt::New(env, stats.counts.records));
  result.Set("wakeups", Napi::BigInt::New(env, stats.wakeups));
  result.Set("liveRings", Napi::Number::New(env, static_cast<double>(stats.live_rings)));
  return result;
}

class Drain : public std::enable_shared_from_this<Drain> {
 public:
  explicit Drain(std::unique_ptr<DrainLoop> loop) : loop_(std::move(loop)) {}

  // The loop while it may still be changed; EBUSY once it was started, EBADF once it is closed.
  DrainLoop& unstarted(Napi::Env env, const char* call) {
    if (!loop_) throw system_error(env, EBADF, call);
    if (started_) throw system_error(env, EBUSY, call);
    return *loop_;
  }

  void start(Napi::Function on_end) {
    Napi::Env env = on_end.Env();
    DrainLoop& loop = unstarted(env, "start");
    callback_.emplace(on_end, "perfbroker:drain");
    // Open until the end has been reported: keeps the event loop alive. When the environment ends
    // before that, the thread has to end with it, because its code is about to be unloaded.
    async_.emplace(
        env, this, "uv_async_init",
        [](uv_loop_t* uv, uv_async_t* handle) {
          return uv_async_init(uv, handle, &Drain::on_loop_end);
        },
        [this] { on_environment_end(); });
    if (std::optional<Error> error =
            loop.start([handle = async_->get()] { uv_async_send(handle); })) {
      async_.reset();
      callback_.reset();
      throw system_error(env, *error);
    }
    started_ = running_ = true;
    self_ = shared_from_this();
  }

  void stop() {
    if (running_) loop_->stop();
  }

  DrainLoop::Stats stats() const { return loop_ ? loop_->stats() : last_stats_; }

  void close(Napi::Env env) {
    if (running_) throw system_error(env, EBUSY, "close");
    if (!loop_) return;
    last_stats_ = loop_->stats();
    loop_.reset();
  }

 private:
  static void on_loop_end(uv_async_t* handle) {
    if (handle->data == nullptr) return;
    std::shared_ptr<Drain> drain = static_cast<Drain*>(handle->data)->shared_from_this();
    drain->finish();
    Callback callback = std::move(*drain->callback_);
    drain->callback_.reset();
    callback.call([&](Napi::Env env) -> std::vector<napi_value> {
      const std::optional<Error>& error = drain->loop_->error();
      return {error ? system_error(env, *error).Value() : env.Null(),
          stats_object(env, drain->loop_->stats())};
    });
  }

  void on_environment_end() {
    std::shared_ptr<Drain> keep = self_;
    loop_->abort();
    finish();
    callback_.reset();
  }

  void finish() {
    loop_->join();
    running_ = false;
    async_.reset();  // after the join: the thread sends to it
    self_.reset();   // the caller holds it
  }

  std::unique_ptr<DrainLoop> loop_;
  DrainLoop::Stats last_stats_{};
  bool started_ = false;
  bool running_ = false;
  std::optional<Callback> callback_;
  std::optional<UvHandle<uv_async_t>> async_;
  std::shared_ptr<Drain> self_;
};

Napi::Value create_drain(const Napi::CallbackInfo& info) {
  Result<std::unique_ptr<DrainLoop>> loop = DrainLoop::create(fd_argument(info, 0, "outputFd"));
  if (!loop) throw system_error(info.Env(), loop.error());
  auto drain = std::make_shared<Drain>(std::move(*loop));

  Napi::Object result = Napi::Object::New(info.Env());
  set_function(result, "addRing", [drain](const Napi::CallbackInfo& call) {
    const int fd = fd_argument(call, 0);
    const size_t pages = pages_argument(call, 1, "pages");
    Result<size_t> ring = drain->unstarted(call.Env(), "addRing").add_ring(fd, pages);
    if (!ring) throw system_error(call.Env(), ring.error());
    return Napi::Number::New(call.Env(), static_cast<double>(*ring));
  });
  set_function(result, "addEvent", [drain](const Napi::CallbackInfo& call) {
    DrainLoop& target = drain->unstarted(call.Env(), "addEvent");
    const int fd = fd_argument(call, 0);
    const int ring = int32_argument(call, 1, "ring", 0, static_cast<int>(target.ring_count()) - 1);
    if (std::optional<Error> error = target.add_event(fd, static_cast<size_t>(ring))) {
      throw system_error(call.Env(), *error);
    }
    return call.Env().Undefined();
  });
  set_function(result, "start", [drain](const Napi::CallbackInfo& call) {
    drain->start(function_argument(call, 0, "onEnd"));
    return call.Env().Undefined();
  });
  set_function(result, "stop", [drain](const Napi::CallbackInfo& call) {
    drain->stop();
    return call.Env().Undefined();
  });
  set_function(result, "stats",
      [drain](const Napi::CallbackInfo& call) { return stats_object(call.Env(), drain->stats()); });
  set_function(result, "close", [drain](const Napi::CallbackInfo& call) {
    drain->close(call.Env());
    return call.Env().Undefined();
  });
  return result;
}

}  // namespace

void export_drain(Napi::Object exports) { set_function(exports, "createDrain", create_drain); }

}  // namespace perfbroker::addon
