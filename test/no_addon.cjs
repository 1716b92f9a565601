// Loaded before each unit test (test/unit.config.js): the addons are not there, whether they were built or not. Importing
// one works, because much that needs nothing of it imports src/native.ts. Every call of it fails.
'use strict';
const Module = require('node:module');

const ADDONS = /\/native\/perfbroker\.node$|\/posix\.node$/;

const absent = new Proxy(
  {},
  {
    get: (_, name) => () => {
      // posix calls these when it is imported.
      if (/^update_\w+_constants$/.test(name)) return;
      throw new Error(`${String(name)} belongs to an addon, and unit tests use none: see test/unit.config.js`);
    },
  },
);

const load = Module._load;
Module._load = (request, ...rest) => (ADDONS.test(request) ? absent : load(request, ...rest));
