// Strict arguments. Node-API's own conversions truncate: Int32Value() makes 0 of NaN, and 0 is a
// pid and an fd. Here a number is an integer in the stated range or a TypeError.
#pragma once

#include <napi.h>

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace perfbroker::addon {

Napi::TypeError argument_error(Napi::Env env, const char* name, const std::string& expected);

int64_t integer_value(Napi::Value value, const char* name, int64_t lowest, int64_t highest);

int int32_argument(const Napi::CallbackInfo& info, size_t index, const char* name, int lowest,
    int highest = std::numeric_limits<int>::max());

int fd_argument(const Napi::CallbackInfo& info, size_t index, const char* name = "fd");

// Data pages of a ring: a power of two, up to 4 GiB of pages of 4 KiB.
size_t pages_argument(const Napi::CallbackInfo& info, size_t index, const char* name);

// The bytes themselves, not a copy: valid until JavaScript runs again.
std::span<uint8_t> bytes_argument(
    const Napi::CallbackInfo& info, size_t index, const char* name, size_t at_least = 1);

std::vector<int> fd_list_argument(
    const Napi::CallbackInfo& info, size_t index, const char* name, size_t at_most);

// A file system path: not empty, no NUL inside.
std::string path_argument(const Napi::CallbackInfo& info, size_t index, const char* name);

Napi::Function function_argument(const Napi::CallbackInfo& info, size_t index, const char* name);

}  // namespace perfbroker::addon
