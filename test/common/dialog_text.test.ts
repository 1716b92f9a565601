import test from 'ava';
import { dialogText } from '#dist/common/dialog_text.js';

test('text of a dialog has no markup and no character that moves or hides another', (t) => {
  t.is(dialogText('/usr/bin/perf'), '/usr/bin/perf');
  t.is(dialogText(''), '');
  t.is(dialogText('<b>&amp;</b>'), '‹b›＆amp;‹/b›');
  t.is(dialogText('a\0b\x1b[31m\u2028\u2066\u200b\ud800z'), 'a\ufffdb\ufffd[31m\ufffd\ufffd\ufffd\ufffdz');
});

test('text of a dialog has 200 characters at most, and is cut between characters', (t) => {
  t.is(dialogText('x'.repeat(200)), 'x'.repeat(200));
  t.is(dialogText('x'.repeat(201)), `${'x'.repeat(199)}…`);
  t.is(dialogText('𝒳'.repeat(100_000)), `${'𝒳'.repeat(199)}…`);
});
