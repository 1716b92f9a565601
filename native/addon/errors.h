// Failed system calls as JavaScript errors (NativeError in src/native.ts).
#pragma once

#include <napi.h>

#include "addon/result.h"

namespace perfbroker::addon {

// `code: message, syscall` with the properties errno (positive), code and syscall.
Napi::Error system_error(Napi::Env env, int error, const char* syscall);

Napi::Error system_error(Napi::Env env, const Error& error);

// The same for an error code of libuv, which is a negated errno on Linux.
Napi::Error uv_error(Napi::Env env, int status, const char* call);

// The last resort of every exported function and method: a C++ exception other than
// Napi::Error (bad_alloc, length_error) must never cross into C.
Napi::Error unexpected_error(Napi::Env env, const char* what);

}  // namespace perfbroker::addon
