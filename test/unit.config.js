// The unit tests, `npm run test:unit`: every test file but those below. A new test file is one of them.
//
// They need no program of this machine but node and sh, and nothing that is compiled from C++: test/no_addon.cjs takes the
// addon from them, also where it was built. They need no root; the few cases of policy/check that do are skipped without
// it. A test that needs more goes into a folder of its own kind, or on this list.

/** Folders whose tests start programs of the tree, or call the addon. */
const FOLDERS = ['downgrade', 'e2e', 'launcher', 'native', 'packaging', 'run', 'scripts', 'systemd', 'vm'];

/** Files elsewhere that do. */
const FILES = [
  'broker/audit/journal',
  'broker/host/slowness',
  'broker/fairness/{cpu_time,refused_connections}',
  'broker/grants/lanes',
  'broker/ipc/{authorizer,helper_client,helper_session,helper_socket,late_sessions,opener,tracer,tracer_protocol}',
  'broker/lifecycle/{fd_limit,notify}',
  'broker/methods/{describe,dispatch,grants}',
  'broker/methods/downgrade/{decide,descendants,method,run}',
  'broker/methods/open/{attach,decide,grant,method,request}',
  'broker/methods/request/identify_caller',
  'broker/processes/{client_connection,peer,proc,targets}',
  'bus/broker/broker_calls',
  'bus/callers/callers',
  'bus/{private_bus,real_broker,whole_chain}',
  'bus/objects/{grant_watch,service,introspection}',
  'bus/polkit/{authorizer,authorizer_listener,polkit}',
  'bus/hostile',
  'cli/{broker,main,run_files}',
  'cli/commands/{describe,downgrade,grants,redeem,report,revoke}',
  'client/*',
  'collector/count/count',
  'collector/host/processes_end',
  'collector/launcher/{command_parent,launcher_opener}',
  'common/logger',
  'collector/record/recorder',
  'docs/{limits,links,man,options,polkit,python_client,readme_program}',
  'model/{opener_agreement,perf_attrs}',
  'policy/load/{load,names}',
  'varlink/{acceptor,channel,close_fds,connection,fds_in_flight,hangup,python_peer,send_queue,service,too_many_references}',
];

export default {
  files: [
    'build/test/**/*.test.js',
    ...FOLDERS.map((folder) => `!build/test/${folder}/**`),
    ...FILES.map((file) => `!build/test/${file}.test.js`),
  ],
  require: ['./test/no_addon.cjs'],
  workerThreads: true, // they start faster than processes
  timeout: '2m',
};
