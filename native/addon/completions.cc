#include "addon/completions.h"

#include <utility>

namespace perfbroker::addon {

Completions::Completions(Napi::Env env)
    : handle_(
          env, this, "uv_async_init",
          [](uv_loop_t* loop, uv_async_t* handle) {
            const int status = uv_async_init(loop, handle, &Completions::on_wake);
            if (status == 0) uv_unref(reinterpret_cast<uv_handle_t*>(handle));
            return status;
          },
          [this] { end(); }) {
  mailbox_->wake = handle_.get();
}

Completions::Post Completions::expect(Napi::Function function) {
  const uint64_t id = next_id_++;
  waiting_.emplace(id, std::make_unique<Callback>(function, "perfbroker:lane"));
  return [id, mailbox = mailbox_](std::vector<int> values) {
    const std::lock_guard lock(mailbox->mutex);
    if (mailbox->wake == nullptr) return;
    mailbox->posted.push_back({id, std::move(values)});
    uv_async_send(mailbox->wake);
  };
}

void Completions::on_wake(uv_async_t* handle) {
  if (handle->data != nullptr) static_cast<Completions*>(handle->data)->deliver();
}

void Completions::deliver() {
  std::vector<Posted> posted;
  {
    const std::lock_guard lock(mailbox_->mutex);
    posted.swap(mailbox_->posted);
  }
  for (const Posted& each : posted) {
    auto found = waiting_.extract(each.id);
    if (found.empty()) continue;
    found.mapped()->call([&](Napi::Env env) -> std::vector<napi_value> {
      Napi::Array values = Napi::Array::New(env, each.values.size());
      for (uint32_t i = 0; i < each.values.size(); i++)
        values.Set(i, Napi::Number::New(env, each.values[i]));
      return {values};
    });
  }
}

void Completions::end() {
  {
    const std::lock_guard lock(mailbox_->mutex);
    mailbox_->wake = nullptr;
    mailbox_->posted.clear();
  }
  waiting_.clear();
}

}  // namespace perfbroker::addon
