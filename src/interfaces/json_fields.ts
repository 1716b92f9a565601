/** Reads a JSON object field by field, and refuses fields that were not read by name. null is absent, as in Varlink. */
import { MAX_U64, quoted, refuse } from '../model/events/event_rules.js';

const U64_TEXT = /^(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/;

export class JsonFields {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #read = new Set<string>();

  /** @param path name of the object in messages: `event.source` */
  constructor(json: unknown, path: string) {
    if (typeof json !== 'object' || json === null || Array.isArray(json))
      refuse('bad-value', `${path} is not an object`);
    this.#object = json as Readonly<Record<string, unknown>>;
    this.#path = path;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#object, name) && this.#object[name] !== null && this.#object[name] !== undefined;
  }

  value(name: string): unknown {
    this.#read.add(name);
    return this.has(name) ? this.#object[name] : undefined;
  }

  string(name: string): string | undefined {
    const value = this.value(name);
    if (value !== undefined && typeof value !== 'string') this.#refuse(name, 'is not a string');
    return value;
  }

  boolean(name: string): boolean {
    const value = this.value(name);
    if (value !== undefined && typeof value !== 'boolean') this.#refuse(name, 'is not true or false');
    return value ?? false;
  }

  /** An integer in range. */
  integer(name: string, minimum: number, maximum: number): number | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) this.#refuse(name, 'is not an integer');
    if (value < minimum || value > maximum) this.#refuse(name, `${value} is not ${minimum} to ${maximum}`);
    return value;
  }

  /** A decimal or 0x-prefixed string, or a number up to 2^53-1. */
  u64(name: string): bigint | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    const isText = typeof value === 'string' && U64_TEXT.test(value);
    const isNumber = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
    if (!isText && !isNumber) this.#refuse(name, 'is not a 64-bit number: a decimal or 0x-prefixed string');
    const number = BigInt(value);
    if (number > MAX_U64) this.#refuse(name, 'is above 2^64-1');
    return number;
  }

  /** One of `names`. */
  name<Name extends string>(name: string, names: readonly Name[]): Name | undefined {
    const value = this.string(name);
    return value === undefined ? undefined : this.#oneOf(name, value, names);
  }

  /** List of `names` without repetition, in the order of the table. */
  names<Name extends string>(name: string, names: readonly Name[]): readonly Name[] {
    const value = this.value(name);
    if (value === undefined) return [];
    if (!Array.isArray(value)) this.#refuse(name, 'is not a list');
    if (value.length > names.length) this.#refuse(name, `has more than ${names.length} names`);
    const found = new Set<Name>();
    for (const item of value as readonly unknown[]) {
      if (typeof item !== 'string') this.#refuse(name, 'has an element that is not a string');
      const known = this.#oneOf(name, item, names);
      if (found.has(known)) this.#refuse(name, `names ${known} twice`);
      found.add(known);
    }
    return names.filter((known) => found.has(known));
  }

  /** @throws when `value` is undefined */
  required<Value>(name: string, value: Value | undefined): Value {
    if (value === undefined) refuse('missing-field', `${this.#path}.${name} is missing`);
    return value;
  }

  /** @throws BrokerError when the object has a field that was not read */
  end(): void {
    for (const key of Object.keys(this.#object)) {
      if (this.has(key) && !this.#read.has(key))
        refuse('unknown-field', `${this.#path} has no field ${quoted(key)} (in this form)`);
    }
  }

  #oneOf<Name extends string>(name: string, value: string, names: readonly Name[]): Name {
    const known = names.find((candidate) => candidate === value);
    if (known === undefined)
      refuse('unknown-name', `${this.#path}.${name}: ${quoted(value)} is not one of ${names.join(', ')}`);
    return known;
  }

  #refuse(name: string, problem: string): never {
    refuse('bad-value', `${this.#path}.${name} ${problem}`);
  }
}
