#include "addon/errors.h"

#include <cstring>
#include <string>

namespace perfbroker::addon {

Napi::Error system_error(Napi::Env env, int error, const char* syscall) {
  const char* name = strerrorname_np(error);
  const char* text = strerrordesc_np(error);
  std::string code = name != nullptr ? name : "E" + std::to_string(error);
  std::string message = code + ": " + (text != nullptr ? text : "unknown error") + ", " + syscall;
  Napi::Error result = Napi::Error::New(env, message);
  result.Set("errno", Napi::Number::New(env, error));
  result.Set("code", Napi::String::New(env, code));
  result.Set("syscall", Napi::String::New(env, syscall));
  return result;
}

Napi::Error system_error(Napi::Env env, const Error& error) {
  return system_error(env, error.number, error.call);
}

Napi::Error uv_error(Napi::Env env, int status, const char* call) {
  return system_error(env, -status, call);
}

Napi::Error unexpected_error(Napi::Env env, const char* what) {
  return Napi::Error::New(env, std::string("perfbroker.node: ") + what);
}

}  // namespace perfbroker::addon
