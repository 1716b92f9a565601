// This process itself.
#include <sys/prctl.h>

#include <cerrno>

#include "addon/bindings.h"
#include "addon/errors.h"
#include "addon/function.h"

namespace perfbroker::addon {
namespace {

Napi::Value make_undumpable(const Napi::CallbackInfo& info) {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) throw system_error(info.Env(), errno, "prctl");
  return info.Env().Undefined();
}

}  // namespace

void export_process(Napi::Object exports) {
  set_function(exports, "makeUndumpable", make_undumpable);
}

}  // namespace perfbroker::addon
