/**
 * npm run bench [-- PART...]: how the broker compares with the least that its work could cost. Parts: grant, batch,
 * record, idle, run, downgrade; all of them when none is named. Needs root, gcc and, for `record` and `run`, perf.
 */
import { noPrivilege } from '../test/e2e/daemon.js';
import { batchBenchmark } from './batch.js';
import { downgradeBenchmark } from './downgrade.js';
import { grantBenchmark } from './grant.js';
import { idleBenchmark } from './idle.js';
import { compilePrograms } from './programs.js';
import { recordBenchmark } from './record.js';
import { runBenchmark } from './run.js';
import { startBroker } from './setting.js';

const PARTS = ['grant', 'batch', 'record', 'idle', 'run', 'downgrade'];

const asked = process.argv.slice(2);
const unknown = asked.find((part) => !PARTS.includes(part));
const reason = noPrivilege() ?? (unknown === undefined ? null : `there is no part ${unknown}: ${PARTS.join(', ')}`);
if (reason !== null) {
  console.error(reason);
  process.exit(2);
}
const wants = (part: string): boolean => asked.length === 0 || asked.includes(part);
const programs = compilePrograms();
try {
  console.log('Baselines alternate with ours in each round; three figures are min / median / max over the rounds.');
  // A daemon of its own for what looks at memory: no figure stands on what another part left behind.
  if (wants('idle')) await idleBenchmark(programs);
  const daemon = await startBroker();
  try {
    if (wants('grant')) await grantBenchmark(daemon, programs, 9);
    if (wants('batch')) await batchBenchmark(daemon, programs, 7);
    if (wants('record')) await recordBenchmark(daemon, programs, 3);
    if (wants('run')) await runBenchmark(daemon, programs, 9);
  } finally {
    await daemon.stop();
  }
  if (wants('downgrade')) await downgradeBenchmark(programs, 3);
} finally {
  programs.remove();
}
