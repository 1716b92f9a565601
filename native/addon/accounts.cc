// Ids of user and group names, from every source that nsswitch.conf(5) names.
#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "addon/args.h"
#include "addon/bindings.h"
#include "addon/errors.h"
#include "addon/function.h"

namespace perfbroker::addon {
namespace {

// The C library copies an entry into a buffer of ours. An entry of a group has its members, so
// there is no natural limit: this one is enough for a group of 500,000 members.
constexpr size_t kFirstBuffer = 4096;
constexpr size_t kLargestBuffer = size_t{16} << 20;

// Calls `look_up(name, entry, buffer, size, found)`, which is getpwnam_r(3) or getgrnam_r(3), with
// a buffer that is large enough. Returns null when there is no such name.
template <typename Entry, typename LookUp, typename Id>
Napi::Value find_id(const Napi::CallbackInfo& info, const char* call, LookUp look_up, Id id_of) {
  const std::string name = path_argument(info, 0, "name");
  std::vector<char> buffer(kFirstBuffer);
  for (;;) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = look_up(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error == EINTR) continue;
    if (error == ERANGE && buffer.size() < kLargestBuffer) {
      buffer.resize(buffer.size() * 4);
      continue;
    }
    // Some sources report a missing entry as an error: NOTES of getpwnam(3).
    const bool missing = error == 0 || error == ENOENT || error == ESRCH;
    if (found != nullptr) return Napi::Number::New(info.Env(), id_of(entry));
    if (missing) return info.Env().Null();
    throw system_error(info.Env(), error, call);
  }
}

Napi::Value user_id(const Napi::CallbackInfo& info) {
  return find_id<passwd>(
      info, "getpwnam_r", getpwnam_r, [](const passwd& entry) { return entry.pw_uid; });
}

Napi::Value group_id(const Napi::CallbackInfo& info) {
  return find_id<group>(
      info, "getgrnam_r", getgrnam_r, [](const group& entry) { return entry.gr_gid; });
}

}  // namespace

void export_accounts(Napi::Object exports) {
  set_function(exports, "userId", user_id);
  set_function(exports, "groupId", group_id);
}

}  // namespace perfbroker::addon
