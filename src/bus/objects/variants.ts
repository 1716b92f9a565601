/** Conversion between D-Bus values and the JSON of the Varlink interface. */
import dbus from 'dbus-next';
import type { Interface, Struct, Type } from '../../varlink/idl.js';
import { CallError } from '../dbus_error.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Maximum nesting of arrays, dictionaries and variants. */
const MAX_DEPTH = 12;
const U64 = 1n << 64n;

/**
 * Converts a D-Bus value to JSON: unwraps variants, encodes byte arrays as base64 and integers beyond 2^53 as decimal strings.
 * @param path name of the value, for errors
 * @throws CallError InvalidArgs
 */
export function toJson(value: unknown, path: string, depth = 0): Json {
  if (depth > MAX_DEPTH) throw new CallError('InvalidArgs', `${path} is nested too deeply`);
  if (isVariant(value)) return toJson(value.value, path, depth + 1);
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' || typeof value === 'bigint') return integer(value, path);
  if (Buffer.isBuffer(value)) return value.toString('base64');
  if (Array.isArray(value)) return value.map((item, index) => toJson(item, `${path}[${index}]`, depth + 1));
  return dictionary(value, path, depth);
}

function dictionary(value: unknown, path: string, depth: number): Json {
  // dbus-next turns a key `__proto__` into the prototype.
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    throw new CallError('InvalidArgs', `${path} has an unsupported type`);
  const entries = Object.entries(value).map(([key, item]) => [
    key,
    toJson(item, path === '' ? key : `${path}.${key}`, depth + 1),
  ]);
  return Object.fromEntries(entries) as Json;
}

/** Returns whether the value is a variant. Not instanceof, which is also true for a dictionary with a key `__proto__`. */
function isVariant(value: unknown): value is dbus.Variant<unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === dbus.Variant.prototype;
}

function integer(value: number | bigint, path: string): Json {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value.toString();
  }
  if (!Number.isSafeInteger(value)) throw new CallError('InvalidArgs', `${path} is not an integer`);
  return value;
}

/** Converts integers to strings where the interface has 64-bit fields as strings. */
export function fitStrings(definition: Interface, type: Type, value: unknown): unknown {
  if (value === null || value === undefined) return value;
  switch (type.kind) {
    case 'string':
      return typeof value === 'number' && Number.isSafeInteger(value) && BigInt(value) < U64 ? String(value) : value;
    case 'nullable':
      return fitStrings(definition, type.element, value);
    case 'array':
      return Array.isArray(value) ? value.map((item) => fitStrings(definition, type.element, item)) : value;
    case 'reference': {
      const named = definition.types[type.name];
      return named === undefined ? value : fitStrings(definition, named.type, value);
    }
    case 'struct': {
      if (typeof value !== 'object' || Array.isArray(value)) return value;
      const fields = new Map(type.fields.map((field) => [field.name, field.type]));
      const entries = Object.entries(value).map(([name, item]) => {
        const fieldType = fields.get(name);
        return [name, fieldType === undefined ? (item as unknown) : fitStrings(definition, fieldType, item)];
      });
      return Object.fromEntries(entries) as unknown;
    }
    default:
      return value;
  }
}

/** Converts a struct to `a{sv}` and omits absent fields. */
export function toDictionary(
  definition: Interface,
  struct: Struct,
  value: Readonly<Record<string, unknown>>,
): Record<string, dbus.Variant<unknown>> {
  const entries: [string, dbus.Variant<unknown>][] = [];
  for (const { name, type } of struct.fields) {
    const item = value[name];
    if (item !== undefined && item !== null) entries.push([name, toVariant(definition, type, item)]);
  }
  return Object.fromEntries(entries);
}

/** Converts a value to a variant: string and enum s, int x, bool b, struct a{sv}, lists as, ax, ab, aa{sv}. @param value valid for the type */
function toVariant(definition: Interface, type: Type, value: unknown): dbus.Variant<unknown> {
  return new dbus.Variant(signatureOf(definition, type), toValue(definition, type, value));
}

function signatureOf(definition: Interface, type: Type): string {
  switch (type.kind) {
    case 'bool':
      return 'b';
    case 'int':
      return 'x';
    case 'float':
      return 'd';
    case 'string':
    case 'enum':
      return 's';
    case 'nullable':
      return signatureOf(definition, type.element);
    case 'array':
      return `a${signatureOf(definition, type.element)}`;
    case 'map':
      return `a{s${signatureOf(definition, type.element)}}`;
    case 'reference':
      return signatureOf(definition, resolve(definition, type.name));
    case 'struct':
      return 'a{sv}';
    default:
      throw new TypeError(`no D-Bus type for ${type.kind}`);
  }
}

function toValue(definition: Interface, type: Type, value: unknown): unknown {
  switch (type.kind) {
    case 'string':
    case 'enum':
      return (value as string).replaceAll('\0', '\u{fffd}');
    case 'int':
      return BigInt(value as number);
    case 'nullable':
      return toValue(definition, type.element, value);
    case 'array':
      return (value as unknown[]).map((item) => toValue(definition, type.element, item));
    case 'map':
      return Object.fromEntries(
        Object.entries(value as object).map(([key, item]) => [key, toValue(definition, type.element, item)]),
      );
    case 'reference':
      return toValue(definition, resolve(definition, type.name), value);
    case 'struct':
      return toDictionary(definition, type, value as Record<string, unknown>);
    default:
      return value;
  }
}

function resolve(definition: Interface, name: string): Type {
  const found = definition.types[name];
  if (found === undefined) throw new TypeError(`no type ${name}`);
  return found.type;
}
