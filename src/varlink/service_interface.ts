import { parseInterface, type Interface } from './idl.js';

/** The interface that every Varlink service has, https://varlink.org/Service; ExpectedMore as systemd defines it. */
export const SERVICE_INTERFACE: Interface =
  parseInterface(`# Provided by every Varlink service: information about the service and its interfaces.
interface org.varlink.service

# Vendor and version of the service, and the interfaces that it implements.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# The definition of an interface, as text.
method GetInterfaceDescription(interface: string) -> (description: string)

# The service does not implement this interface.
error InterfaceNotFound (interface: string)

# The interface does not have this method.
error MethodNotFound (method: string)

# The interface has this method, but the service does not implement it.
error MethodNotImplemented (method: string)

# A parameter is unknown, missing or out of range.
error InvalidParameter (parameter: string)

# The method sends several replies: call it with "more".
error ExpectedMore ()
`);
