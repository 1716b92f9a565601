import test from 'ava';
import { parseKernelSymbols, readKernelSymbols, textAddressIn } from '#dist/collector/symbols/kallsyms.js';

test('kallsyms with zeros name nothing', (t) => {
  const zeros = '0000000000000000 T _text\n0000000000000000 T do_exit\n';
  t.is(parseKernelSymbols(zeros), undefined);
  t.is(textAddressIn(zeros), undefined);
  const real =
    'ffffffff81000000 T _stext\nffffffff81000040 T do_exit\nffffffff81000080 D data\nffffffff81000100 t last\t[module]\n';
  t.is(textAddressIn(real), 0xffffffff81000000n);
  t.is(parseKernelSymbols(real)?.find(0xffffffff81000050n), 'do_exit');
});

test('kallsyms that cannot be read name nothing', (t) => {
  t.is(readKernelSymbols('/nonexistent'), undefined);
});
