/** Prints the TypeScript types of a Varlink interface's JSON forms: what src/interfaces/*_types.ts hold. */
import { readFile } from 'node:fs/promises';
import type { Interface, Struct, Type } from '#dist/varlink/idl.js';
import { parseInterface } from '#dist/varlink/idl.js';
import { format, resolveConfig } from 'prettier';

const header = (name: string): string => `/**
 * The JSON forms of ${name}, one type for each in the interface definition.
 * Made from it: after a change there, run test/interfaces/broker_types.test.ts with UPDATE_TYPES=1.
 */

`;

/** The text that `target` should hold, formatted as prettier formats that file. */
export async function typesFromDefinition(definitionFile: string, target: string): Promise<string> {
  const definition = parseInterface(await readFile(definitionFile, 'utf8'));
  return format(header(definition.name) + print(definition), { ...(await resolveConfig(target)), filepath: target });
}

function print(definition: Interface): string {
  const parts: string[] = [];
  for (const { name, comment, type } of Object.values(definition.types)) parts.push(declaration(name, comment, type));
  for (const { name, comment, input, output } of Object.values(definition.methods)) {
    parts.push(declaration(`${name}Parameters`, comment, input), declaration(`${name}Reply`, '', output));
  }
  for (const { name, comment, parameters } of Object.values(definition.errors))
    parts.push(declaration(`${name}Error`, comment, parameters));
  return parts.join('\n');
}

function declaration(name: string, comment: string, type: Type): string {
  const docs =
    comment === ''
      ? ''
      : `/**\n${comment
          .split('\n')
          .map((line) => ` * ${line}\n`)
          .join('')} */\n`;
  if (type.kind === 'struct' && type.fields.length === 0)
    return `${docs}export type ${name} = Record<string, never>;\n`;
  return type.kind === 'struct'
    ? `${docs}export interface ${name} ${struct(type)}\n`
    : `${docs}export type ${name} = ${expression(type)};\n`;
}

function struct({ fields }: Struct): string {
  const lines = fields.map(({ name, type }) =>
    type.kind === 'nullable'
      ? `  readonly ${name}?: ${expression(type.element)};\n`
      : `  readonly ${name}: ${expression(type)};\n`,
  );
  return `{\n${lines.join('')}}`;
}

function expression(type: Type): string {
  switch (type.kind) {
    case 'bool':
      return 'boolean';
    case 'int':
    case 'float':
      return 'number';
    case 'string':
      return 'string';
    case 'object':
      return 'Readonly<Record<string, unknown>>';
    case 'any':
      return 'unknown';
    case 'enum':
      return type.members.map((member) => `'${member}'`).join(' | ');
    case 'struct':
      return struct(type);
    case 'reference':
      return type.name;
    case 'array':
      return `readonly (${expression(type.element)})[]`;
    case 'map':
      return `Readonly<Record<string, ${expression(type.element)}>>`;
    case 'nullable':
      return `${expression(type.element)} | null`;
  }
}
