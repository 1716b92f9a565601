// One libuv handle that is closed exactly once, also when the environment goes away before its
// owner does.
//
// libuv wants a handle's memory until the close callback has run on the loop, and a worker that is
// terminated aborts the process if its loop still has an open handle. So the handle lives on the
// heap together with an asynchronous cleanup hook: Node waits for the hook, and the hook is over
// when the close callback has run.
#pragma once

#include <napi.h>
#include <uv.h>

#include <functional>
#include <type_traits>
#include <utility>

#include "addon/errors.h"

namespace perfbroker::addon {

template <typename Handle>
class UvHandle {
 public:
  // `init(loop, handle)` returns a libuv status; `call` names it in the error. `teardown` is called
  // on the loop's thread when the environment ends while the handle is open; no JavaScript may run
  // from there. The handle is closed right after it.
  template <typename Init>
  UvHandle(Napi::Env env, void* data, const char* call, Init init, std::function<void()> teardown) {
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) throw unexpected_error(env, "no event loop");
    box_ = new Box{{}, nullptr, this, std::move(teardown)};
    box_->handle.data = data;
    int status = init(loop, &box_->handle);
    if (status != 0) {
      delete std::exchange(box_, nullptr);
      throw uv_error(env, status, call);
    }
    if (napi_add_async_cleanup_hook(env, &Box::on_environment_end, box_, &box_->hook) != napi_ok) {
      close();
      throw unexpected_error(env, "no cleanup hook");
    }
  }
  UvHandle(const UvHandle&) = delete;
  UvHandle& operator=(const UvHandle&) = delete;
  ~UvHandle() { close(); }

  // Null once closed.
  Handle* get() const { return box_ == nullptr ? nullptr : &box_->handle; }

  void close() {
    if (box_ == nullptr) return;
    Box* box = std::exchange(box_, nullptr);
    box->owner = nullptr;
    box->teardown = nullptr;
    box->handle.data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&box->handle), &Box::on_closed);
  }

 private:
  struct Box {
    Handle handle;  // first: on_closed finds the box by its address
    napi_async_cleanup_hook_handle hook;
    UvHandle* owner;  // null: closing
    std::function<void()> teardown;

    static void on_closed(uv_handle_t* handle) {
      static_assert(std::is_standard_layout_v<Handle>);
      Box* box = reinterpret_cast<Box*>(handle);
      if (box->hook != nullptr) napi_remove_async_cleanup_hook(box->hook);
      delete box;
    }

    static void on_environment_end(napi_async_cleanup_hook_handle, void* data) {
      Box* box = static_cast<Box*>(data);
      if (box->owner == nullptr) return;  // its close callback is still to come, and ends the hook
      if (box->teardown) std::exchange(box->teardown, nullptr)();
      if (box->owner != nullptr) box->owner->close();
    }
  };
  Box* box_ = nullptr;
};

}  // namespace perfbroker::addon
