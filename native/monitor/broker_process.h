// Starting the broker: node, without any privilege.
#pragma once

#include "monitor/child_process.h"
#include "monitor/options.h"
#include "monitor/resources.h"

namespace perfbroker {

// `capability`: the one that the opener holds.
ChildProcess start_broker(const Privileges& privileges, const Options& options,
    const Resources& resources, unsigned capability);

// A deny-list of calls that node never needs: they fail with EPERM. 0 or errno; no_new_privs must
// be set.
int install_broker_filter();

}  // namespace perfbroker
