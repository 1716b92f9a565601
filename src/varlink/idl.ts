/**
 * Parser for Varlink interface definitions (https://varlink.org/Interface-Definition). The result is deeply frozen. Its records have
 * no prototype, so a name sent by a peer (`__proto__`, `constructor`) finds no inherited property.
 */
import { IdlScanner } from './idl_scanner.js';

export type Type =
  | { readonly kind: 'bool' | 'int' | 'float' | 'string' | 'object' | 'any' }
  | { readonly kind: 'enum'; readonly members: readonly string[] }
  | Struct
  | { readonly kind: 'reference'; readonly name: string }
  | { readonly kind: 'array' | 'map' | 'nullable'; readonly element: Type };

export interface Struct {
  readonly kind: 'struct';
  readonly fields: readonly Field[];
}

export interface Field {
  readonly name: string;
  readonly type: Type;
}

export interface TypeDefinition {
  readonly name: string;
  readonly comment: string;
  readonly type: Type;
}

export interface Method {
  readonly name: string;
  readonly comment: string;
  readonly input: Struct;
  readonly output: Struct;
}

export interface ErrorDefinition {
  readonly name: string;
  readonly comment: string;
  readonly parameters: Struct;
}

export interface Interface {
  /** Reverse-domain name, `org.example.Thing`. */
  readonly name: string;
  readonly comment: string;
  /** Source text, for GetInterfaceDescription. */
  readonly description: string;
  readonly types: Readonly<Record<string, TypeDefinition>>;
  readonly methods: Readonly<Record<string, Method>>;
  readonly errors: Readonly<Record<string, ErrorDefinition>>;
}

const INTERFACE_NAME = /^[A-Za-z](?:-*[A-Za-z0-9])*(?:\.[A-Za-z0-9](?:-*[A-Za-z0-9])*)+$/;
const MEMBER_NAME = /^[A-Z][A-Za-z0-9]*$/;
const FIELD_NAME = /^[A-Za-z](?:_?[A-Za-z0-9])*$/;
const BUILT_IN: ReadonlySet<string> = new Set(['bool', 'int', 'float', 'string', 'object', 'any']);
/** Maximum nesting of types. */
const MAX_NESTING = 32;

/**
 * @param source text of one interface definition
 * @throws IdlError with line and column: syntax, a name used twice, a type that is not defined
 */
export function parseInterface(source: string): Interface {
  return new Parser(source).parse();
}

interface Members {
  types: Record<string, TypeDefinition>;
  methods: Record<string, Method>;
  errors: Record<string, ErrorDefinition>;
}

class Parser {
  readonly #scanner: IdlScanner;
  readonly #references: { readonly name: string; readonly offset: number }[] = [];
  #nesting = 0;

  constructor(source: string) {
    this.#scanner = new IdlScanner(source);
  }

  parse(): Interface {
    const comment = this.#scanner.comment;
    this.#expect('interface');
    const name = this.#name(INTERFACE_NAME, 'an interface name such as org.example.Thing');
    const members: Members = { types: bare(), methods: bare(), errors: bare() };
    const taken = new Set<string>();
    while (this.#scanner.token.text !== '') this.#member(members, taken);
    for (const reference of this.#references) {
      if (members.types[reference.name] === undefined)
        throw this.#scanner.error(`type ${reference.name} is not defined`, reference.offset);
    }
    return deepFreeze({ name, comment, description: this.#scanner.source, ...members });
  }

  #member(members: Members, taken: Set<string>): void {
    const comment = this.#scanner.comment;
    const keyword = this.#scanner.token.text;
    if (keyword !== 'type' && keyword !== 'method' && keyword !== 'error')
      throw this.#unexpected('type, method or error');
    this.#scanner.advance();
    const { offset } = this.#scanner.token;
    const name = this.#name(MEMBER_NAME, 'a name that begins with a capital letter');
    if (taken.has(name)) throw this.#scanner.error(`${name} is defined twice`, offset);
    taken.add(name);
    if (keyword === 'type') {
      members.types[name] = { name, comment, type: this.#structOrEnum() };
    } else if (keyword === 'error') {
      members.errors[name] = { name, comment, parameters: this.#struct() };
    } else {
      const input = this.#struct();
      this.#expect('->');
      members.methods[name] = { name, comment, input, output: this.#struct() };
    }
  }

  #type(): Type {
    if (++this.#nesting > MAX_NESTING) throw this.#scanner.error('types are nested too deeply');
    const type = this.#unguardedType();
    this.#nesting--;
    return type;
  }

  #unguardedType(): Type {
    const { text, offset } = this.#scanner.token;
    if (text === '?') {
      this.#scanner.advance();
      if (this.#scanner.token.text === '?') throw this.#scanner.error('a type is nullable only once');
      return { kind: 'nullable', element: this.#type() };
    }
    if (text === '[') {
      this.#scanner.advance();
      const map = this.#accept('string');
      this.#expect(']');
      return { kind: map ? 'map' : 'array', element: this.#type() };
    }
    if (text === '(') return this.#structOrEnum();
    if (BUILT_IN.has(text)) {
      this.#scanner.advance();
      return { kind: text as 'bool' };
    }
    const name = this.#name(MEMBER_NAME, 'a type');
    this.#references.push({ name, offset });
    return { kind: 'reference', name };
  }

  #struct(): Struct {
    const { offset } = this.#scanner.token;
    const type = this.#structOrEnum();
    if (type.kind !== 'struct') throw this.#scanner.error('expected named fields, not the members of an enum', offset);
    return type;
  }

  /** Parses a list in parentheses: a struct if it is empty or a colon follows its first name, otherwise an enum. */
  #structOrEnum(): Struct | Extract<Type, { kind: 'enum' }> {
    this.#expect('(');
    const fields: Field[] = [];
    const members: string[] = [];
    const taken = new Set<string>();
    while (!this.#accept(')')) {
      if (taken.size > 0) this.#expect(',');
      const { offset } = this.#scanner.token;
      const name = this.#name(FIELD_NAME, 'a field name');
      if (taken.has(name)) throw this.#scanner.error(`${name} is used twice`, offset);
      taken.add(name);
      if (fields.length > 0 || (members.length === 0 && this.#scanner.token.text === ':')) {
        this.#expect(':');
        fields.push({ name, type: this.#type() });
      } else {
        members.push(name);
      }
    }
    return members.length > 0 ? { kind: 'enum', members } : { kind: 'struct', fields };
  }

  #name(pattern: RegExp, what: string): string {
    if (!pattern.test(this.#scanner.token.text)) throw this.#unexpected(what);
    return this.#scanner.advance().text;
  }

  #accept(text: string): boolean {
    if (this.#scanner.token.text !== text) return false;
    this.#scanner.advance();
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw this.#unexpected(JSON.stringify(text));
  }

  #unexpected(wanted: string): Error {
    const found = this.#scanner.token.text;
    return this.#scanner.error(`expected ${wanted}, found ${found === '' ? 'the end' : JSON.stringify(found)}`);
  }
}

function bare<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
