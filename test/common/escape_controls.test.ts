import test from 'ava';
import { escapeControls } from '#dist/common/escape_controls.js';

test('control characters and line separators are escaped, and all other text stays', (t) => {
  t.is(
    escapeControls('\u001b[2J\n\r\0\u007f\u0085\u2028\u2029'),
    '\\u001b[2J\\u000a\\u000d\\u0000\\u007f\\u0085\\u2028\\u2029',
  );
  t.is(escapeControls('a b "c" \\ ü 日本 😀'), 'a b "c" \\ ü 日本 😀');
});
