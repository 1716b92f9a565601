// Calling JavaScript from a libuv callback.
#pragma once

#include <napi.h>

#include <initializer_list>
#include <vector>

namespace perfbroker::addon {

// A function that is kept until `reset`, with the async context that its calls run in. An exception that it throws
// becomes an uncaughtException of the process, as for any event handler. When JavaScript can not run any more (a
// worker that is being terminated), nothing happens.
class Callback {
 public:
  Callback(Napi::Function function, const char* resource)
      : env_(function.Env()), function_(Napi::Persistent(function)), context_(function.Env(), resource) {}

  // Needs an open HandleScope.
  void call(std::initializer_list<napi_value> arguments) {
    if (function_.IsEmpty()) return;
    napi_env env = env_;
    std::vector<napi_value> list(arguments);
    napi_value result = nullptr;
    napi_status status =
        napi_make_callback(env, context_, env_.Global(), function_.Value(), list.size(), list.data(), &result);
    if (status != napi_pending_exception) return;
    napi_value exception = nullptr;
    if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
  }

  Napi::Env env() const { return env_; }

  // Lets go of the function, so that what it closes over can be collected.
  void reset() { function_.Reset(); }

 private:
  Napi::Env env_;
  Napi::FunctionReference function_;
  Napi::AsyncContext context_;
};

}  // namespace perfbroker::addon
