// Exporting C++ callables: the one place where exceptions are kept from crossing into C.
#pragma once

#include <napi.h>

#include <exception>
#include <utility>

#include "addon/errors.h"

namespace perfbroker::addon {

// Sets object[name] to a function that calls `body(info)`. What the body captures lives as long as
// the function does.
template <typename Body>
void set_function(Napi::Object object, const char* name, Body body) {
  object.Set(name, Napi::Function::New(
                       object.Env(),
                       [body = std::move(body)](const Napi::CallbackInfo& info) -> Napi::Value {
                         try {
                           return body(info);
                         } catch (const Napi::Error&) {
                           throw;
                         } catch (const std::exception& error) {
                           throw unexpected_error(info.Env(), error.what());
                         }
                       },
                       name));
}

}  // namespace perfbroker::addon
