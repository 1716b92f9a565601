/** Description of an object on the bus. */
import type dbus from 'dbus-next';
import type { Caller } from '../callers/callers.js';

/** One call with a checked signature. */
export interface Call {
  readonly caller: Caller;
  /** Values of the method's `in` signature, as dbus-next represents them. */
  readonly body: readonly unknown[];
  /** True when the caller allows an authorization prompt. */
  readonly allowInteractive: boolean;
}

export interface ServedMethod {
  readonly in: string;
  readonly out: string;
  /** @returns one value for each complete type of `out` */
  readonly run: (call: Call) => Promise<readonly unknown[]>;
}

/** All properties of an interface, which come from one reply of the broker. All are read-only. */
export type Properties = Readonly<Record<string, dbus.Variant<unknown>>>;

export interface ServedInterface {
  readonly methods: Readonly<Record<string, ServedMethod>>;
  /** Property names, for errors that need no reply of the broker. */
  readonly propertyNames: readonly string[];
  readonly properties: (caller: Caller) => Promise<Properties>;
}

export interface ServedObject {
  /** Interfaces by name, without the standard ones. */
  readonly interfaces: Readonly<Record<string, ServedInterface>>;
  /** `<interface>` elements of the introspection data. */
  readonly xml: string;
}
