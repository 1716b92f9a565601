// The whole suite, `npm test`. test/unit.config.js has the part of it for every edit.
import { availableParallelism } from 'node:os';

/** They take longest, and would be alone at the end. */
const FIRST = ['packaging/', 'e2e/', 'bus/'];
const rank = (file) => {
  const place = FIRST.findIndex((folder) => file.includes(`/build/test/${folder}`));
  return place === -1 ? FIRST.length : place;
};

export default {
  files: ['build/test/**/*.test.js'],
  // Tests wait for other processes most of the time: no cpu may be idle in the meantime.
  concurrency: 2 * availableParallelism(),
  sortTestFiles: (a, b) => rank(a) - rank(b) || a.localeCompare(b),
  workerThreads: false,
  timeout: '5m',
};
