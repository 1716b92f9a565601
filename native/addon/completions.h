// Calling JavaScript when another thread has done something for it.
#pragma once

#include <napi.h>
#include <uv.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "addon/callback.h"
#include "addon/uv_handle.h"

namespace perfbroker::addon {

// The functions of one environment that wait to be called. They do not keep its event loop alive.
// The end of the environment drops them, and also results that other threads post later.
class Completions {
 public:
  // Posts an array of numbers from the other thread. May be called on any thread, once.
  using Post = std::function<void(std::vector<int>)>;

  explicit Completions(Napi::Env env);

  // Only on the thread of the environment.
  Post expect(Napi::Function function);

 private:
  struct Posted {
    uint64_t id;
    std::vector<int> values;
  };
  // Shared with the other threads, which may outlive the environment.
  struct Mailbox {
    std::mutex mutex;
    uv_async_t* wake = nullptr;  // null: the environment has ended
    std::vector<Posted> posted;
  };

  static void on_wake(uv_async_t* handle);
  void deliver();
  void end();

  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::map<uint64_t, std::unique_ptr<Callback>> waiting_;
  uint64_t next_id_ = 0;
  UvHandle<uv_async_t> handle_;
};

}  // namespace perfbroker::addon
