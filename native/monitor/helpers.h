// Starting the helper processes of the broker: opener and tracer.
#pragma once

#include "monitor/child_process.h"
#include "opener/opener.h"

namespace perfbroker {

ChildProcess start_opener(const Privileges& privileges, OpenerConfig config);

ChildProcess start_tracer(const Privileges& privileges, HelperConfig config);

}  // namespace perfbroker
