// A value, or the errno of the system call that failed. Code that runs with privilege uses errno
// itself.
#pragma once

#include <cerrno>
#include <utility>

namespace perfbroker {

struct Error {
  int number;        // errno, positive
  const char* call;  // the system call, a string literal
};

inline Error last_error(const char* call) { return {errno, call}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)), error_{0, nullptr} {}
  Result(Error error) : value_(), error_(error) {}

  explicit operator bool() const { return error_.call == nullptr; }
  const Error& error() const { return error_; }
  T& operator*() { return value_; }
  T* operator->() { return &value_; }

 private:
  T value_;
  Error error_;
};

}  // namespace perfbroker
