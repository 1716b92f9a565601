/** The documents that these tests read, and what is in them. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../e2e/daemon.js';

export interface Document {
  /** Relative to the top of the tree. */
  readonly path: string;
  readonly text: string;
}

export function read(path: string): Document {
  return { path, text: readFileSync(join(ROOT, path), 'utf8') };
}

export const MARKDOWN: readonly Document[] = [
  read('README.md'),
  read('SECURITY.md'),
  read('CONTRIBUTING.md'),
  read('CHANGELOG.md'),
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => read(`docs/${name}`)),
];

export const MAN_PAGES: readonly Document[] = readdirSync(join(ROOT, 'docs/man')).map((name) =>
  read(`docs/man/${name}`),
);

/** Fenced blocks of a language, in order. */
export function blocks({ text }: Document, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map((match) => match[1] ?? '');
}

/** The text without its fenced blocks. */
export function prose({ text }: Document): string {
  return text.replace(/^```.*?^```$/gms, '');
}

export interface Link {
  readonly text: string;
  /** Without the anchor; '' within the document. */
  readonly file: string;
  readonly anchor: string | undefined;
}

/** Links that lead to no other site. */
export function relativeLinks(document: Document): Link[] {
  return [...prose(document).matchAll(/\[((?:[^\]\\]|\\.)*)\]\(([^)\s]+)\)/g)]
    .map(([, text = '', target = '']) => ({ text, target }))
    .filter(({ target }) => !/^[a-z]+:/.test(target))
    .map(({ text, target }) => ({ text, file: target.split('#')[0] ?? '', anchor: target.split('#')[1] }));
}

/** Anchors that GitHub gives to headings. */
export function anchors({ text }: Document): string[] {
  return [...text.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
}

/** Output of a program of the tree for --help. */
export function help(program: string, ...command: string[]): string {
  const run = spawnSync(join(ROOT, 'dist/bin', program), [...command, '--help'], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${program} ${command.join(' ')} --help: ${run.stderr}`);
  return run.stdout;
}

export function longOptions(text: string): Set<string> {
  return new Set([...text.matchAll(/(?<![\w-])--([a-z][a-z-]*[a-z])/g)].map((match) => match[1] ?? ''));
}
