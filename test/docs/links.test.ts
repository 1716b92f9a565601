import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { ROOT } from '../e2e/daemon.js';
import { anchors, MAN_PAGES, MARKDOWN, read, relativeLinks } from './documents.js';

for (const document of MARKDOWN) {
  const { path } = document;
  const links = relativeLinks(document);

  test(`every link of ${path} leads to a file that is there`, (t) => {
    const missing = links.filter(({ file }) => file !== '' && !existsSync(join(ROOT, dirname(path), file)));
    t.deepEqual(missing, []);
  });

  test(`every anchor that ${path} links to is a heading`, (t) => {
    const missing = links.filter(({ file, anchor }) => {
      if (anchor === undefined) return false;
      return !anchors(file === '' ? document : read(join(dirname(path), file))).includes(anchor);
    });
    t.deepEqual(missing, []);
  });
}

test('the documents link to each other, so that the tests above have something to look at', (t) => {
  const counts = new Map(MARKDOWN.map((document) => [document.path, relativeLinks(document).length]));
  for (const path of ['README.md', 'SECURITY.md', 'docs/protocol.md', 'docs/privilege-separation.md'])
    t.true((counts.get(path) ?? 0) >= 4, path);
});

test('no document names a path of the machine that it was written on', (t) => {
  for (const { path, text } of [...MARKDOWN, ...MAN_PAGES])
    t.notRegex(text, /(?<![\w.])\/(?:work|root|home|mnt)\//, path);
});
