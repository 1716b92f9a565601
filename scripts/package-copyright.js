// Prints debian/copyright: the head in packaging/deb, and the authors and the licence of every npm package that ships. The
// build stops at a package without authors or licence. Usage: node scripts/package-copyright.js
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import process from 'node:process';
import { productionModules } from './production-modules.js';

const root = join(import.meta.dirname, '..');

/** Authors whom neither the licence's text nor package.json names. */
const AUTHORS = { jsbi: ['Google Inc.'], 'dbus-next': ['the dbus-next contributors'] };

/** Short name of a licence: as package.json has it, else recognized in the licence's text. */
function shortName(manifest, text) {
  const stated = typeof manifest.license === 'string' ? manifest.license : manifest.license?.type;
  if (stated === 'MIT' || stated === 'MIT/X11') return 'Expat';
  if (typeof stated === 'string') return stated;
  if (/Apache License\s+Version 2\.0/.test(text)) return 'Apache-2.0';
  if (/Redistribution and use in source and binary forms/.test(text)) return 'BSD-3-Clause';
  throw new Error(`${manifest.name}: no licence is named in package.json`);
}

function holders(manifest, text) {
  const lines = text
    .split('\n')
    .map((line) => line.trim().replace(/^(?:-\s*)?(?:\(c\)\s*)?/i, ''))
    .filter(
      (line) =>
        /^Copyright:?\s+(?:\(c\)|\d|©|by\b|[A-Z])/.test(line.replace('(C)', '(c)')) &&
        !/\bcopyright (?:notice|holder)/i.test(line),
    )
    .map((line) =>
      line
        .replace(/^copyright[\s:,]*(?:\(c\)|©)?\s*/i, '')
        .replace(/\s*all rights reserved\.?\s*$/i, '')
        .replace(/,$/, ''),
    );
  const { author } = manifest;
  const named = typeof author === 'string' ? author : author?.name;
  // A line of years alone names no author.
  const stated = lines.filter((line) => /[a-z]/i.test(line));
  if (stated.length > 0) return [...new Set(stated)];
  if (manifest.name in AUTHORS) return AUTHORS[manifest.name];
  if (named === undefined) throw new Error(`${manifest.name}: neither licence nor package.json names an author`);
  return [[lines[0]?.replace(/\.$/, ''), named].filter(Boolean).join(' ')];
}

/** Formats text as the continuation of a field: indented lines, with a dot for a blank line. */
function indented(text) {
  return text
    .replaceAll('\r', '')
    .trim()
    .split('\n')
    .map((line) => (line.trim() === '' ? ' .' : ` ${line.trimEnd().replaceAll('\t', '    ')}`))
    .join('\n');
}

const paragraphs = [readFileSync(join(root, 'packaging/deb/copyright.in'), 'utf8').trim()];
for (const { name, directory, manifest } of productionModules(root)) {
  const file = readdirSync(directory).find((entry) => /^licen[sc]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} has no licence file`);
  const text = readFileSync(join(directory, file), 'utf8');
  const short = shortName(manifest, text);
  const path = `usr/libexec/perfbroker/${relative(root, directory)}`;
  const copyright = `Files: ${path}/*\nCopyright: ${holders(manifest, text).join('\n           ')}`;
  // Debian has the text of Apache-2.0. Every other licence is quoted, because its wording differs between packages.
  if (short === 'Apache-2.0') paragraphs.push(`${copyright}\nLicense: ${short}`);
  else paragraphs.push(`${copyright}\nLicense: ${short}\n${indented(text)}`);
}
process.stdout.write(`${paragraphs.join('\n\n')}\n`);
