// Prints the offsets and constants of tracer_protocol.h as JSON, for the test that compares
// src/broker/ipc/tracer_protocol.ts.
#include <cstddef>
#include <cstdio>

#include "protocol/tracer.h"

using namespace perfbroker::tracer_protocol;

#define FIELD(type, name) printf("\"%s\": %zu, ", #name, offsetof(type, name))
#define END(type) printf("\"size\": %zu}", sizeof(type))

int main() {
  printf("{\"request\": {");
  FIELD(Request, version);
  FIELD(Request, serial);
  FIELD(Request, flags);
  FIELD(Request, deadline);
  FIELD(Request, drop);
  FIELD(Request, expected);
  END(Request);
  printf(", \"thread\": {");
  FIELD(ThreadResult, tid);
  FIELD(ThreadResult, error);
  FIELD(ThreadResult, no_new_privs);
  FIELD(ThreadResult, had);
  FIELD(ThreadResult, has);
  END(ThreadResult);
  printf(", \"reply\": {");
  FIELD(Reply, version);
  FIELD(Reply, serial);
  FIELD(Reply, status);
  FIELD(Reply, detail);
  FIELD(Reply, tid);
  FIELD(Reply, stopped);
  FIELD(Reply, thread_count);
  FIELD(Reply, first);
  FIELD(Reply, count);
  FIELD(Reply, threads);
  END(Reply);
  printf(
      ", \"constants\": {\"version\": %u, \"maxThreads\": %u, \"threadsPerReply\": %u, "
      "\"maxDeadline\": %u, \"statuses\": %u, "
      "\"refusals\": %u}}\n",
      kVersion, kMaxThreads, kThreadsPerReply, kMaxDeadline,
      static_cast<unsigned>(Status::kSystemError) + 1,
      static_cast<unsigned>(Refusal::kNoSyscall) + 1);
}
