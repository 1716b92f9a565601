/** Checks JSON values against the types of a Varlink interface and copies the declared fields. */
import type { Interface, Struct, Type } from './idl.js';

/** A value of a wrong type. `path` names it as the caller would write it: `events[0].source.kind`; '' is the whole value. */
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

/** Limit for recursive types (`type Tree (left: ?Tree)`). The connection has a lower limit. */
const MAX_DEPTH = 64;

/**
 * @returns a copy with the declared fields; a nullable field that is null is omitted. Ints are safe integers (the range of JSON
 * numbers), strings are well-formed Unicode.
 * @throws ValidationError naming the first field that is unknown, has a wrong type, or is missing
 */
export function validate(definition: Interface, type: Type, value: unknown, path = ''): unknown {
  return check({ definition, dropUnknown: false, root: path, steps: [] }, type, value);
}

/** {@link validate} for the parameters of a method or an error. */
export function validateStruct(
  definition: Interface,
  struct: Struct,
  value: unknown,
  path = '',
): Record<string, unknown> {
  return checkStruct({ definition, dropUnknown: false, root: path, steps: [] }, struct, value);
}

/** {@link validateStruct} for a client: unknown fields, which a newer service may send, are dropped instead of refused. */
export function acceptStruct(definition: Interface, struct: Struct, value: unknown): Record<string, unknown> {
  return checkStruct({ definition, dropUnknown: true, root: '', steps: [] }, struct, value);
}

/** State of a check. */
interface Walk {
  readonly definition: Interface;
  readonly dropUnknown: boolean;
  /** Path of the whole value. */
  readonly root: string;
  /** Steps from the whole value to the current one. Formatted only for an error: a message may have thousands of values. */
  readonly steps: (string | number)[];
}

function check(walk: Walk, type: Type, value: unknown): unknown {
  requireDepth(walk);
  switch (type.kind) {
    case 'bool':
      if (typeof value !== 'boolean') throw mismatch(walk, 'true or false', value);
      return value;
    case 'int':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw mismatch(walk, 'an integer', value);
      return value === 0 ? 0 : value; // -0 is 0
    case 'float':
      if (typeof value !== 'number' || !Number.isFinite(value)) throw mismatch(walk, 'a number', value);
      return value;
    case 'string':
      if (typeof value !== 'string') throw mismatch(walk, 'a string', value);
      if (!value.isWellFormed()) throw refusal(walk, 'is not well-formed Unicode');
      return value;
    case 'object':
      if (!isObject(value)) throw mismatch(walk, 'an object', value);
      return copy(walk, value);
    case 'any':
      if (value === undefined) throw refusal(walk, 'is missing');
      return copy(walk, value);
    case 'enum':
      if (typeof value !== 'string' || !type.members.includes(value))
        throw mismatch(walk, `one of ${type.members.join(', ')}`, value);
      return value;
    case 'struct':
      return checkStruct(walk, type, value);
    case 'reference': {
      const target = walk.definition.types[type.name];
      if (target === undefined) throw new Error(`type ${type.name} is not in ${walk.definition.name}`);
      return check(walk, target.type, value);
    }
    case 'array':
      if (!Array.isArray(value)) throw mismatch(walk, 'an array', value);
      return value.map((element, index) => checkAt(walk, index, type.element, element));
    case 'map':
      if (!isObject(value)) throw mismatch(walk, 'an object', value);
      // fromEntries defines properties, so that even a key "__proto__" is only a key.
      return Object.fromEntries(
        Object.entries(value).map(([key, element]) => [key, checkAt(walk, key, type.element, element)]),
      );
    case 'nullable':
      return value === null || value === undefined ? null : check(walk, type.element, value);
  }
}

/** Iterates over the given keys, not over the declared fields: the cost of an object depends on what its peer sent. */
function checkStruct(walk: Walk, struct: Struct, value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw mismatch(walk, 'an object', value);
  const { types, required } = fieldsOf(struct);
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const type = types.get(key);
    if (type === undefined) {
      if (walk.dropUnknown) continue;
      throw refusal(walk, 'is not a known field', key);
    }
    const checked = checkAt(walk, key, type, value[key]);
    if (checked !== null) result[key] = checked;
  }
  for (const name of required) {
    // hasOwn: a field that has the name of a property of Object.prototype must not be found there.
    if (!Object.hasOwn(value, name)) throw refusal(walk, 'is missing', name);
  }
  return result;
}

interface Fields {
  readonly types: ReadonlyMap<string, Type>;
  /** Names of the fields that cannot be omitted. */
  readonly required: readonly string[];
}

const knownFields = new WeakMap<Struct, Fields>();

function fieldsOf(struct: Struct): Fields {
  const known = knownFields.get(struct);
  if (known !== undefined) return known;
  const { fields } = struct;
  const made: Fields = {
    types: new Map(fields.map(({ name, type }) => [name, type])),
    required: fields.filter(({ type }) => type.kind !== 'nullable').map(({ name }) => name),
  };
  knownFields.set(struct, made);
  return made;
}

/** Foreign JSON (`object`, `any`): copied, so that the caller holds no reference into the message of a peer. */
function copy(walk: Walk, value: unknown): unknown {
  requireDepth(walk);
  if (Array.isArray(value)) return value.map((element, index) => copyAt(walk, index, element));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, element]) => [key, copyAt(walk, key, element)]));
}

/** {@link check} one step further in. After a refusal nothing restores the steps, which have led to it. */
function checkAt(walk: Walk, step: string | number, type: Type, value: unknown): unknown {
  walk.steps.push(step);
  const checked = check(walk, type, value);
  walk.steps.pop();
  return checked;
}

/** {@link copy} one step further in. */
function copyAt(walk: Walk, step: string | number, value: unknown): unknown {
  walk.steps.push(step);
  const copied = copy(walk, value);
  walk.steps.pop();
  return copied;
}

function requireDepth(walk: Walk): void {
  if (walk.steps.length > MAX_DEPTH) throw refusal(walk, 'is nested too deeply');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function pathOf({ root, steps }: Walk): string {
  let path = root;
  for (const step of steps) path = typeof step === 'number' ? `${path}[${step}]` : member(path, step);
  return path;
}

/** Keys that a peer made up end in error messages: shortened, and quoted unless they look like a name. */
function member(path: string, key: string): string {
  const plain = /^\w{1,64}$/.test(key);
  if (plain) return path === '' ? key : `${path}.${key}`;
  return `${path}[${JSON.stringify(key.slice(0, 64))}]`;
}

/** @param field of the value under way, where that is what is wrong */
function refusal(walk: Walk, problem: string, field?: string): ValidationError {
  return new ValidationError(field === undefined ? pathOf(walk) : member(pathOf(walk), field), problem);
}

function mismatch(walk: Walk, wanted: string, value: unknown): ValidationError {
  const found = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value;
  const shown =
    typeof value === 'number' || typeof value === 'string'
      ? JSON.stringify(typeof value === 'string' ? value.slice(0, 64) : value)
      : found;
  return refusal(walk, value === undefined ? 'is missing' : `must be ${wanted}, not ${shown}`);
}
