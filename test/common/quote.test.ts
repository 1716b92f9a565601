import test from 'ava';
import { escapeName, quote } from '#dist/common/quote.js';

test('quoted text ends at its last quote, with any content', (t) => {
  t.is(quote('plain ü 日本'), '"plain ü 日本"');
  t.is(quote('a"b\\c'), '"a\\"b\\\\c"');
});

test('control, format and separating characters are escaped', (t) => {
  t.is(quote('\u001b[2J\n\u0000'), '"\\u{001b}[2J\\u{000a}\\u{0000}"');
  t.is(
    quote('\u202e\u200b\u2028\u2029'),
    '"\\u{202e}\\u{200b}\\u{2028}\\u{2029}"',
    'also those that reorder or hide text',
  );
  t.is(quote('\u{e0041}\ud800'), '"\\u{e0041}\\u{d800}"', 'also beyond 16 bits, and half a character');
});

test('text is cut after its limit', (t) => {
  t.is(quote('abc', 3), '"abc"');
  t.is(quote('abcd', 3), '"abc…"');
  t.is(quote('x'.repeat(300)).length, 203);
});

test('a name in a line is escaped like quoted text, without the quotes', (t) => {
  t.is(escapeName('x\nfeed 0 1 ok'), 'x\\u{000a}feed 0 1 ok');
  t.is(escapeName('\t\u001b[2J\u202e\u2028'), '\\u{0009}\\u{001b}[2J\\u{202e}\\u{2028}');
  t.is(escapeName('/usr/bin/a "b" ü 日本 😀'), '/usr/bin/a "b" ü 日本 😀');
});
