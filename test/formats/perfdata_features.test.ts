import test from 'ava';
import { ByteWriter } from '#dist/formats/byte_writer.js';
import { FormatError } from '#dist/formats/format_error.js';
import { decodeFeatures, encodeFeatures } from '#dist/formats/perfdata_features.js';
import { attrsOf, INFO } from './write_recording.js';

const events = attrsOf('cpu-clock:u,page-faults:u').map((attr, index) => ({ name: `event ${index}`, attr, ids: [1n] }));

test('features are read back as they were written, in the order of their bits', (t) => {
  const sections = encodeFeatures({ ...INFO, tracingData: Uint8Array.of(1) }, events);
  const bits = sections.map(([bit]) => bit);
  t.deepEqual(
    bits,
    [...bits].sort((a, b) => a - b),
  );
  t.deepEqual(decodeFeatures(sections), { ...INFO, eventNames: ['event 0', 'event 1'] });
});

test('features that this project does not know are left out', (t) => {
  t.deepEqual(decodeFeatures([[99, Uint8Array.of(1, 2, 3)]]), {});
});

test('more entries than fit into a section are refused before memory is taken for them', (t) => {
  for (const bit of [11, 12]) {
    const bytes = new ByteWriter().u32(0xffff_ffff).u32(0).bytes;
    t.throws(() => decodeFeatures([[bit, bytes]]), { instanceOf: FormatError, message: /4294967295 entries/ });
  }
});
