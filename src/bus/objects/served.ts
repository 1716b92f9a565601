/** What an object on the bus is made of. */
import type dbus from 'dbus-next';
import type { Caller } from '../callers/callers.js';

/** One call, its signature checked. */
export interface Call {
  readonly caller: Caller;
  /** As the method's `in` has them, in the form of dbus-next. */
  readonly body: readonly unknown[];
  /** Whether the caller is willing to wait for a human. */
  readonly allowInteractive: boolean;
}

export interface ServedMethod {
  readonly in: string;
  readonly out: string;
  /** @returns one value for each complete type of `out` */
  readonly run: (call: Call) => Promise<readonly unknown[]>;
}

/** All of an interface's properties at once: they come from one answer of the broker. None can be written. */
export type Properties = Readonly<Record<string, dbus.Variant<unknown>>>;

export interface ServedInterface {
  readonly methods: Readonly<Record<string, ServedMethod>>;
  /** Names, for errors that need no answer of the broker. */
  readonly propertyNames: readonly string[];
  readonly properties: (caller: Caller) => Promise<Properties>;
}

export interface ServedObject {
  /** By name; the standard ones come on top. */
  readonly interfaces: Readonly<Record<string, ServedInterface>>;
  /** `<interface>` elements of the introspection, and whether the object is an ObjectManager, are in it. */
  readonly xml: string;
}
