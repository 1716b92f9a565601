#include <napi.h>

#include "addon/bindings.h"

namespace {

// Runs once for the main thread and once for every worker that loads the addon. There is no global
// state but the threads of the lanes (lanes.h): what lives longer than a call belongs to the object
// that was returned and ends with its environment (uv_handle.h).
Napi::Object initialize(Napi::Env, Napi::Object exports) {
  using namespace perfbroker::addon;
  export_sockets(exports);
  export_datagrams(exports);
  export_fds(exports);
  export_lanes(exports);
  export_perf(exports);
  export_poller(exports);
  export_drain(exports);
  export_ring(exports);
  export_accounts(exports);
  export_process(exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(perfbroker, initialize)
