import test from 'ava';
import { ERROR_TABLE } from '#dist/model/errors/error_table.js';
import { ERROR_NAMES } from '#dist/model/errors/errors.js';
import { errorsDocument } from '#dist/model/errors/errors_doc.js';

test('the document has a section for each error and a row for each code', (t) => {
  const sections = errorsDocument().split(/^## /m).slice(1);
  t.deepEqual(
    sections.map((section) => section.slice(0, section.indexOf('\n'))),
    [...ERROR_NAMES],
  );
  for (const [index, name] of ERROR_NAMES.entries()) {
    const codes = [...(sections[index] ?? '').matchAll(/^\| `([\w-]+)` \|/gm)].map(([, code]) => code);
    t.deepEqual(codes, Object.keys(ERROR_TABLE[name]));
  }
});

test('no text breaks its row', (t) => {
  for (const line of errorsDocument()
    .split('\n')
    .filter((text) => text.startsWith('| `')))
    t.is(line.replaceAll('\\|', '').split('|').length, 5, line);
});
