/** Checks JSON values against the types of a Varlink interface, and rebuilds them from what is declared. */
import type { Interface, Struct, Type } from './idl.js';

/** A value that does not fit. `path` names it as the caller would write it: `events[0].source.kind`; '' is the whole. */
export class ValidationError extends Error {
  override readonly name = 'ValidationError';
  readonly path: string;
  readonly problem: string;

  constructor(path: string, problem: string) {
    super(path === '' ? problem : `${path}: ${problem}`);
    this.path = path;
    this.problem = problem;
  }
}

/** Types that name themselves (`type Tree (left: ?Tree)`) go as deep as the value; the connection limits that further. */
const MAX_DEPTH = 64;

/**
 * @returns a fresh copy with the declared fields only; a nullable field that is null is left out. Ints are safe
 * integers (JSON carries no more), strings are well-formed Unicode.
 * @throws ValidationError naming the first field that is unknown, missing or of a wrong type
 */
export function validate(definition: Interface, type: Type, value: unknown, path = ''): unknown {
  return check({ definition, dropUnknown: false }, type, value, path, 0);
}

/** {@link validate} for the parameters of a method or an error. */
export function validateStruct(
  definition: Interface,
  struct: Struct,
  value: unknown,
  path = '',
): Record<string, unknown> {
  return checkStruct({ definition, dropUnknown: false }, struct, value, path, 0);
}

/** {@link validateStruct} for a client: fields that a newer service added are left out instead of refused. */
export function acceptStruct(definition: Interface, struct: Struct, value: unknown): Record<string, unknown> {
  return checkStruct({ definition, dropUnknown: true }, struct, value, '', 0);
}

interface Rules {
  readonly definition: Interface;
  readonly dropUnknown: boolean;
}

function check(rules: Rules, type: Type, value: unknown, path: string, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new ValidationError(path, 'is nested too deeply');
  switch (type.kind) {
    case 'bool':
      if (typeof value !== 'boolean') throw mismatch(path, 'true or false', value);
      return value;
    case 'int':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw mismatch(path, 'an integer', value);
      return value === 0 ? 0 : value; // -0 is 0
    case 'float':
      if (typeof value !== 'number' || !Number.isFinite(value)) throw mismatch(path, 'a number', value);
      return value;
    case 'string':
      if (typeof value !== 'string') throw mismatch(path, 'a string', value);
      if (LONE_SURROGATE.test(value)) throw new ValidationError(path, 'is not well-formed Unicode');
      return value;
    case 'object':
      if (!isObject(value)) throw mismatch(path, 'an object', value);
      return copy(value, path, depth);
    case 'any':
      if (value === undefined) throw new ValidationError(path, 'is missing');
      return copy(value, path, depth);
    case 'enum':
      if (typeof value !== 'string' || !type.members.includes(value))
        throw mismatch(path, `one of ${type.members.join(', ')}`, value);
      return value;
    case 'struct':
      return checkStruct(rules, type, value, path, depth);
    case 'reference': {
      const target = rules.definition.types[type.name];
      if (target === undefined) throw new Error(`type ${type.name} is not in ${rules.definition.name}`);
      return check(rules, target.type, value, path, depth);
    }
    case 'array':
      if (!Array.isArray(value)) throw mismatch(path, 'an array', value);
      return value.map((element, index) => check(rules, type.element, element, `${path}[${index}]`, depth + 1));
    case 'map':
      if (!isObject(value)) throw mismatch(path, 'an object', value);
      // fromEntries defines properties, so that even a key "__proto__" is only a key.
      return Object.fromEntries(
        Object.entries(value).map(([key, element]) => [
          key,
          check(rules, type.element, element, member(path, key), depth + 1),
        ]),
      );
    case 'nullable':
      return value === null || value === undefined ? null : check(rules, type.element, value, path, depth);
  }
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function checkStruct(
  rules: Rules,
  struct: Struct,
  value: unknown,
  path: string,
  depth: number,
): Record<string, unknown> {
  if (!isObject(value)) throw mismatch(path, 'an object', value);
  for (const key of Object.keys(value)) {
    if (!rules.dropUnknown && !struct.fields.some((field) => field.name === key))
      throw new ValidationError(member(path, key), 'is not a known field');
  }
  const result: Record<string, unknown> = {};
  for (const { name, type } of struct.fields) {
    // hasOwn: a field named like something of Object.prototype must not be found there.
    const given: unknown = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given === undefined && type.kind !== 'nullable') throw new ValidationError(member(path, name), 'is missing');
    const checked = check(rules, type, given, member(path, name), depth + 1);
    if (checked !== null) result[name] = checked;
  }
  return result;
}

/** Foreign JSON (`object`, `any`): copied, so that nobody keeps a reference into what a peer sent. */
function copy(value: unknown, path: string, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new ValidationError(path, 'is nested too deeply');
  if (Array.isArray(value)) return value.map((element, index) => copy(element, `${path}[${index}]`, depth + 1));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, element]) => [key, copy(element, member(path, key), depth + 1)]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keys that a peer made up end in error messages: shortened, and quoted unless they look like a name. */
function member(path: string, key: string): string {
  const plain = /^\w{1,64}$/.test(key);
  if (plain) return path === '' ? key : `${path}.${key}`;
  return `${path}[${JSON.stringify(key.slice(0, 64))}]`;
}

function mismatch(path: string, wanted: string, value: unknown): ValidationError {
  const found = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
  const shown =
    typeof value === 'number' || typeof value === 'string'
      ? JSON.stringify(typeof value === 'string' ? value.slice(0, 64) : value)
      : found;
  return new ValidationError(path, value === undefined ? 'is missing' : `must be ${wanted}, not ${shown}`);
}
