import { parseInterface, type Interface } from './idl.js';

/** The interface that every Varlink service has, https://varlink.org/Service; ExpectedMore as systemd defines it. */
export const SERVICE_INTERFACE: Interface =
  parseInterface(`# What every Varlink service provides: what it is, and which interfaces it has.
interface org.varlink.service

# Who made the service, and the interfaces that it implements.
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

# The interface has no such method.
error MethodNotFound (method: string)

# The interface has the method, the service does not implement it.
error MethodNotImplemented (method: string)

# A parameter is unknown, missing or out of its range.
error InvalidParameter (parameter: string)

# The method answers with several replies: call it with "more".
error ExpectedMore ()
`);
