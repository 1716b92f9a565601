import test from 'ava';
import { IdlError, IdlScanner } from '#dist/varlink/idl_scanner.js';

function tokens(source: string): string[] {
  const scanner = new IdlScanner(source);
  const found: string[] = [];
  while (scanner.token.text !== '') found.push(scanner.advance().text);
  return found;
}

test('words, arrows, brackets and punctuation are tokens', (t) => {
  t.deepEqual(tokens('method A(b: ?[]int) -> ()'), [
    'method',
    'A',
    '(',
    'b',
    ':',
    '?',
    '[',
    ']',
    'int',
    ')',
    '->',
    '(',
    ')',
  ]);
  t.deepEqual(tokens('org.example-x.y_z'), ['org.example-x.y_z']);
  t.deepEqual(tokens('a->b'), ['a', '->', 'b'], 'a name does not end with a dash');
  t.deepEqual(tokens(' \t\r\n# only a comment'), []);
});

test('the comment of a token is the block of lines directly before it', (t) => {
  const scanner = new IdlScanner('# lost\n\n# one\n#  two \nfirst second');
  t.is(scanner.comment, 'one\n two');
  scanner.advance();
  t.is(scanner.token.text, 'second');
  t.is(scanner.comment, '');
});

test('an error names line and column from 1, also of a character that is not a token', (t) => {
  const scanner = new IdlScanner('a\n  b');
  scanner.advance();
  t.like(scanner.error('odd'), { line: 2, column: 3, message: 'line 2, column 3: odd' });
  t.like(
    t.throws(() => tokens('a\nb 😀'), { instanceOf: IdlError }),
    { line: 2, column: 3 },
  );
  t.throws(() => tokens('1'), { message: /unexpected "1"/ });
});
