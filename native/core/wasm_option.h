// V8's option for WebAssembly, which not every version of Node.js has.
#pragma once

namespace perfbroker {

// Returns the option that belongs beside --jitless. With --jitless V8 has no WebAssembly. Up to
// Node.js 22 it warns about that at each start, except where --no-expose-wasm says the same; from
// Node.js 24 on there is no such option, and node refuses it. There a second --jitless stands for
// it. Asks `node`, as found in PATH: it reports a wrong option before it runs any JavaScript.
const char* wasm_option(const char* node, char* const* environment);

}  // namespace perfbroker
