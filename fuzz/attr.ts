/**
 * Mutation fuzzing of the two parsers of hostile events: decodeAttr and eventsFromJson. Any input yields an event or
 * a BrokerError. An accepted attr is encoded to the same bytes again.
 *
 * node build/fuzz/attr.js [ITERATIONS | SECONDSs] [SEED]      default: 5s, a seed of the clock
 */
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { decodeAttr, encodeAttr } from '#dist/model/events/attr/attr.js';
import { ATTR_SIZES, OFFSET } from '#dist/model/events/attr/attr_layout.js';
import { BrokerError } from '#dist/model/errors/errors.js';
import { eventsFromJson, eventToJson } from '#dist/interfaces/event_json.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { withSampling } from '#dist/model/events/event_defaults.js';

const [amount = '5s', seedText = String(Date.now() % 2 ** 32)] = process.argv.slice(2);
const match = /^(\d+)(s?)$/.exec(amount);
if (match === null || !/^\d+$/.test(seedText)) {
  process.stderr.write('usage: attr.js [ITERATIONS | SECONDSs] [SEED]\n');
  process.exit(2);
}
const limit = Number(match[1]);
const isSeconds = match[2] === 's';

/** mulberry32: 32 bits of state, enough to repeat a run by its seed. */
let state = Number(seedText) >>> 0;
function random(below: number): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
}
function pick<Item>(items: readonly Item[]): Item {
  const item = items[random(items.length)];
  if (item === undefined) throw new RangeError('nothing to pick from');
  return item;
}

const seeds = withSampling(
  parseEvents('cpu-clock:u,cs:k,{cycles:pp,L1-dcache-load-misses}:S,mem:0x1000/8:rw,r01c2,cpu/config=1,config3=7/'),
  { sampling: { frequency: 99 }, callchain: true, clock: 'tai', stack: { bytes: 8192, registers: 0xffn }, maxStack: 9 },
);
const seedBytes = seeds.map((spec) => encodeAttr(spec, { pmuType: 9, tracepointId: 7 }));
const seedJson = seeds.map((spec) => eventToJson(spec));
const INTERESTING = [0, 1, 7, 8, 0x7f, 0x80, 0xff];

function mutatedAttr(): Uint8Array {
  const length = random(4) > 0 ? pick(ATTR_SIZES) : random(200);
  const bytes = new Uint8Array(length);
  bytes.set(pick(seedBytes).subarray(0, length));
  if (length >= 8 && random(8) > 0) new DataView(bytes.buffer).setUint32(OFFSET.size, length, true);
  for (let edits = random(5); edits > 0; edits--) {
    const at = random(length + 1);
    if (at < length) bytes[at] = random(2) === 0 ? (bytes[at] ?? 0) ^ (1 << random(8)) : pick(INTERESTING);
  }
  return bytes;
}

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  1e300,
  '',
  '0x',
  '0xffffffffffffffffff',
  '🙂',
  'A'.repeat(9000),
  [],
  [[]],
  {},
  ['ip', 'ip'],
  { kind: 'raw' },
  Array(100).fill('kernel'),
];
const KEYS = [
  'attr',
  'source',
  'kind',
  'name',
  'config',
  'sampling',
  'period',
  'frequency',
  'exclude',
  'leader',
  '__proto__',
  'constructor',
  'toString',
  'x'.repeat(500),
];

/** A copy of `value` with something in it replaced, removed or added. */
function mutated(value: unknown, depth = 0): unknown {
  if (random(6) === 0) return pick(VALUES);
  if (depth > 4 || typeof value !== 'object' || value === null) return random(3) === 0 ? pick(VALUES) : value;
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => (random(3) === 0 ? mutated(item, depth + 1) : item));
    return random(4) === 0 ? [...items, ...items] : items;
  }
  const entries = Object.entries(value).filter(() => random(10) > 0);
  if (random(3) === 0) entries.push([pick(KEYS), pick(VALUES)]);
  // fromEntries defines own properties, so that __proto__ arrives as JSON.parse would deliver it.
  return Object.fromEntries(
    entries.map(([key, inner]) => [key, random(3) === 0 ? mutated(inner, depth + 1) : inner] as const),
  );
}

/** @returns whether the input was taken */
function survives(input: unknown, parse: () => void): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    if (error instanceof BrokerError && error.error === 'InvalidEvent') return false;
    const shown = input instanceof Uint8Array ? Buffer.from(input).toString('hex') : JSON.stringify(input);
    process.stderr.write(`seed ${seedText}: not a BrokerError for ${shown}\n`);
    throw error;
  }
}

function decodeAndCompare(bytes: Uint8Array): void {
  const again = encodeAttr(decodeAttr(bytes));
  for (let at = 0; at < Math.max(bytes.length, again.length); at++) {
    if (at >= OFFSET.size && at < OFFSET.size + 4) continue;
    const before = (bytes[at] ?? 0) & (at === OFFSET.flags ? ~1 : ~0);
    if (before !== (again[at] ?? 0)) throw new Error(`byte ${at} was ${before}, became ${again[at] ?? 0}`);
  }
}

const end = Date.now() + limit * 1000;
let iterations = 0;
let taken = 0;
while (isSeconds ? Date.now() < end : iterations < limit) {
  iterations++;
  const bytes = mutatedAttr();
  if (survives(bytes, () => decodeAndCompare(bytes))) taken++;
  const json: unknown = mutated(random(4) === 0 ? [{ attr: Buffer.from(bytes).toString('base64') }] : seedJson);
  if (survives(json, () => eventsFromJson(json))) taken++;
}
process.stdout.write(
  `fuzz attr: ${2 * iterations} inputs, ${taken} taken, the rest refused by name; seed ${seedText}\n`,
);
