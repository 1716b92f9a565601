import test from 'ava';
import { describeFailure } from '#dist/cli/failure.js';
import { tooManyFiles } from '#dist/cli/too_many_files.js';

test('only the limit of this process has this text', (t) => {
  t.is(tooManyFiles(new Error('EMFILE')), undefined);
  t.is(tooManyFiles(Object.assign(new Error('x'), { code: 'ENOENT' })), undefined);
  const error = Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE' });
  t.regex(tooManyFiles(error)?.message ?? '', /^too many open files; the limit is (\d+|unlimited)$/);
  t.regex(describeFailure(error).text, /^perfbroker: too many open files; .*\n {2}what to do: .*ulimit -n.*\n$/);
});
