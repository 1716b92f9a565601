/**
 * Run as an ordinary user with a small RLIMIT_NOFILE: fills the user's account of fds in flight through one socket, then
 * sends an fd over a connection, and frees the account. Prints what became of it.
 */
import { native } from '#dist/native.js';
import { Observed, someFd, turns } from './helpers.js';

const [hoarder, hoard] = native.socketPair('stream');
const fd = someFd();
let inFlight = 0;
try {
  for (; inFlight < 10_000; inFlight++) if (native.sendMessage(hoarder, Buffer.of(1), [fd]) === null) break;
} catch (error) {
  console.log((error as NodeJS.ErrnoException).code);
}
const observed = new Observed({ stallMs: 5000 });
const accepted = observed.connection.send({ late: true }, [someFd()]);
await turns();
const into = new Uint8Array(100);
console.log(accepted, observed.reason, native.receiveMessage(observed.peer, into));
native.close(hoard);
let received = null;
while (received === null) {
  await new Promise((resolve) => setTimeout(resolve, 5));
  received = native.receiveMessage(observed.peer, into);
}
console.log(received.bytes, received.fds.length);
process.exit(0);
