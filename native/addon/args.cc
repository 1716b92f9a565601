#include "addon/args.h"

#include <cmath>

namespace perfbroker::addon {

Napi::TypeError argument_error(Napi::Env env, const char* name, const std::string& expected) {
  return Napi::TypeError::New(env, std::string(name) + " must be " + expected);
}

int64_t integer_value(Napi::Value value, const char* name, int64_t lowest, int64_t highest) {
  if (value.IsNumber()) {
    double number = value.As<Napi::Number>().DoubleValue();
    // Both limits are below 2^53 and so exact as doubles; NaN fails the first comparison.
    if (number >= static_cast<double>(lowest) && number <= static_cast<double>(highest) &&
        std::trunc(number) == number) {
      return static_cast<int64_t>(number);
    }
  }
  throw argument_error(value.Env(), name,
      "an integer from " + std::to_string(lowest) + " to " + std::to_string(highest));
}

int int32_argument(
    const Napi::CallbackInfo& info, size_t index, const char* name, int lowest, int highest) {
  return static_cast<int>(integer_value(info[index], name, lowest, highest));
}

int fd_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return int32_argument(info, index, name, 0);
}

size_t pages_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  constexpr int kMaxPages = 1 << 20;
  const int pages = int32_argument(info, index, name, 1, kMaxPages);
  if ((pages & (pages - 1)) != 0) throw argument_error(info.Env(), name, "a power of two");
  return static_cast<size_t>(pages);
}

std::span<uint8_t> bytes_argument(
    const Napi::CallbackInfo& info, size_t index, const char* name, size_t at_least) {
  Napi::Value value = info[index];
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    auto array = value.As<Napi::Uint8Array>();
    // A detached buffer has length 0.
    if (array.ElementLength() >= at_least) return {array.Data(), array.ElementLength()};
  }
  throw argument_error(
      info.Env(), name, "a Uint8Array of at least " + std::to_string(at_least) + " bytes");
}

std::vector<int> fd_list_argument(
    const Napi::CallbackInfo& info, size_t index, const char* name, size_t at_most) {
  Napi::Value value = info[index];
  if (!value.IsArray() || value.As<Napi::Array>().Length() > at_most) {
    throw argument_error(
        info.Env(), name, "an array of at most " + std::to_string(at_most) + " fds");
  }
  auto array = value.As<Napi::Array>();
  uint32_t count = array.Length();
  std::vector<int> fds;
  fds.reserve(count);
  for (uint32_t i = 0; i < count; i++) {
    fds.push_back(
        static_cast<int>(integer_value(array.Get(i), name, 0, std::numeric_limits<int>::max())));
  }
  return fds;
}

std::string path_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (info[index].IsString()) {
    std::string path = info[index].As<Napi::String>().Utf8Value();
    if (!path.empty() && path.find('\0') == std::string::npos) return path;
  }
  throw argument_error(info.Env(), name, "a non-empty string without NUL");
}

Napi::Function function_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsFunction()) throw argument_error(info.Env(), name, "a function");
  return info[index].As<Napi::Function>();
}

}  // namespace perfbroker::addon
