import test from 'ava';
import { synthesizeExisting } from '#dist/collector/record/existing_processes.js';
import { Synthesizer, type ExistingProcess } from '#dist/collector/record/synthesize.js';
import { parseEvents } from '#dist/model/events/syntax/event_syntax.js';
import { fakeGrant } from '../count/fake_counters.js';

/** Notes what is described. */
class Notes extends Synthesizer {
  readonly processes: ExistingProcess[] = [];
  all = 0;
  constructor() {
    super(0, () => undefined);
  }
  override process(existing: ExistingProcess): boolean {
    this.processes.push(existing);
    return true;
  }
  override allProcesses(): number {
    return ++this.all;
  }
}

const events = parseEvents('cpu-clock:u');

function grantOn(...tids: number[]) {
  const { events: opened } = fakeGrant(tids.map(() => ({ event: 0, words: () => [] })));
  return { events: opened.map((event, index) => ({ ...event, tid: tids[index] ?? -1 })) };
}

test('each process is described, and the command at its gate is not: it has not executed its program', (t) => {
  const notes = new Notes();
  const workload = { pid: 8, exited: Promise.resolve(0), executed: Promise.resolve(0), release: () => undefined };
  synthesizeExisting({ events, targets: [{ pid: 7 }, { pid: 8 }], workload }, grantOn(7), notes);
  t.deepEqual(notes.processes, [{ pid: 7 }]);
  t.is(notes.all, 0);
});

test('a process whose threads have other numbers at the broker lives in another pid namespace', (t) => {
  const notes = new Notes();
  synthesizeExisting({ events, targets: [{ pid: 7 }] }, grantOn(102, 101, 102), notes);
  t.deepEqual(notes.processes, [{ pid: 7, recorded: { pid: 101, tids: [101, 102] } }]);
});

test('a single thread is described with the numbers of its process here', (t) => {
  const notes = new Notes();
  synthesizeExisting({ events, targets: [{ pid: 7, tid: 9 }] }, grantOn(9), notes);
  t.deepEqual(notes.processes, [{ pid: 7 }]);
});

test('system and cgroup targets have every process described, once', (t) => {
  for (const targets of [[{ system: true }], [{ cgroup: '/a' }, { cgroup: '/b' }]] as const) {
    const notes = new Notes();
    synthesizeExisting({ events, targets }, grantOn(-1), notes);
    t.is(notes.all, 1);
    t.deepEqual(notes.processes, []);
  }
});
