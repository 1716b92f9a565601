// Each group of functions adds itself to the addon's exports. The typed surface is src/native.ts.
#pragma once

#include <napi.h>

namespace perfbroker::addon {

void export_sockets(Napi::Object exports);
void export_datagrams(Napi::Object exports);
void export_fds(Napi::Object exports);
void export_lanes(Napi::Object exports);
void export_perf(Napi::Object exports);
void export_poller(Napi::Object exports);
void export_drain(Napi::Object exports);
void export_ring(Napi::Object exports);
void export_accounts(Napi::Object exports);
void export_process(Napi::Object exports);

}  // namespace perfbroker::addon
