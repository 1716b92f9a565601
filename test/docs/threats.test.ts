/** The table of threats in SECURITY.md names tests; they exist under these titles. */
import test from 'ava';
import { read, relativeLinks } from './documents.js';

const named = relativeLinks(read('SECURITY.md')).filter(({ file }) => file.endsWith('.test.ts'));

/** Titles of the tests in a source; what a template fills in may be anything. */
function titles(source: string): RegExp[] {
  const literals = source.matchAll(
    /\b(?:test|privileged|real)(?:\.\w+)?\(\s*(?:'((?:[^'\\\n]|\\.)+)'|"((?:[^"\\\n]|\\.)+)"|`((?:[^`\\\n]|\\.)+)`)/g,
  );
  return [...literals].map(([, single, double, template]) => {
    const text = (single ?? double ?? template ?? '').replace(/\\(['"`])/g, '$1');
    const parts = template === undefined ? [text] : text.split(/\$\{[^}]*\}/);
    return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+')}$`);
  });
}

test('the table names tests', (t) => {
  t.true(named.length >= 20);
});

for (const { file, text } of named) {
  const title = text.replace(/^"|"$/g, '');
  test(`${file} has a test "${title}"`, (t) => {
    t.true(titles(read(file).text).some((pattern) => pattern.test(title)));
  });
}
