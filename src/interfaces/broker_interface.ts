import { readFileSync } from 'node:fs';
import { parseInterface, type Interface } from '../varlink/idl.js';

/** org.perfbroker.Broker, read from the definition file that the build puts beside this module. */
export const BROKER_INTERFACE: Interface = parseInterface(
  readFileSync(new URL('./org.perfbroker.Broker.varlink', import.meta.url), 'utf8'),
);
