import { readFileSync } from 'node:fs';
import { parseInterface, type Interface } from '../varlink/idl.js';

/** org.perfbroker.Authorizer, read from the definition file that the build puts beside this module. */
export const AUTHORIZER_INTERFACE: Interface = parseInterface(
  readFileSync(new URL('./org.perfbroker.Authorizer.varlink', import.meta.url), 'utf8'),
);
