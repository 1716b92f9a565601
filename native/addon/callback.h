// Calling JavaScript from a libuv callback.
#pragma once

#include <napi.h>

#include <vector>

namespace perfbroker::addon {

// A function that is kept until `reset`, with the async context that its calls run in. An exception
// that it throws becomes an uncaughtException of the process, as for any event handler. When
// JavaScript cannot run any more (a worker that is being terminated), nothing happens.
class Callback {
 public:
  Callback(Napi::Function function, const char* resource)
      : env_(function.Env()),
        function_(Napi::Persistent(function)),
        context_(function.Env(), resource) {}

  // `arguments(env)` makes the list of values to pass.
  template <typename Arguments>
  void call(Arguments arguments) {
    if (function_.IsEmpty()) return;
    Napi::HandleScope scope(env_);
    std::vector<napi_value> list;
    try {
      list = arguments(env_);
    } catch (const Napi::Error&) {
      // While a worker is being terminated libuv still runs callbacks, and no value can be made any
      // more.
      return;
    }
    napi_value result = nullptr;
    const napi_status status = napi_make_callback(
        env_, context_, env_.Global(), function_.Value(), list.size(), list.data(), &result);
    if (status != napi_pending_exception) return;
    napi_value exception = nullptr;
    if (napi_get_and_clear_last_exception(env_, &exception) == napi_ok)
      napi_fatal_exception(env_, exception);
  }

  // Releases the function, so that the objects in its closure can be collected.
  void reset() { function_.Reset(); }

 private:
  Napi::Env env_;
  Napi::FunctionReference function_;
  Napi::AsyncContext context_;
};

}  // namespace perfbroker::addon
