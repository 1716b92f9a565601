/**
 * A polkit authentication agent for one process: `node agent_program.js PID START-TIME LOCALE`. Prints what polkit asks of it as
 * JSON lines; a line on its standard input ends the dialog ("done", after polkit has got the password; or "dismiss").
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import dbus from 'dbus-next';

const [pid = '', startTime = '', locale = ''] = process.argv.slice(2);
const PATH = '/org/perfbroker/TestAgent';
const AGENT = 'org.freedesktop.PolicyKit1.AuthenticationAgent';
const tell = (event: string, facts: object = {}): void => void writeSync(1, `${JSON.stringify({ event, ...facts })}\n`);

const bus = dbus.sessionBus({
  busAddress: (process.env['DBUS_SYSTEM_BUS_ADDRESS'] ?? '').replace('unix:path=', 'unix:socket='),
});
let dialog: dbus.Message | null = null;

function endDialog(how: string): void {
  if (dialog === null) return;
  const call = dialog;
  dialog = null;
  if (how === 'done') return bus.send(dbus.Message.newMethodReturn(call));
  bus.send(
    new dbus.Message({
      type: dbus.MessageType.ERROR,
      errorName: 'org.freedesktop.PolicyKit1.Error.Cancelled',
      destination: call.sender,
      replySerial: call.serial as unknown as string, // a number; dbus-next's declaration is wrong
      signature: 's',
      body: ['dismissed'],
    }),
  );
}

bus.on('error', (error: Error) => {
  tell('error', { message: error.message });
  process.exit(1);
});
bus.addMethodHandler((message: dbus.Message) => {
  if (message.path !== PATH || message.interface !== AGENT) return false;
  if (message.member === 'BeginAuthentication') {
    const [action, text, , details, cookie] = message.body as unknown[];
    dialog = message;
    tell('begin', { action, text, details, cookie });
    return true;
  }
  if (message.member === 'CancelAuthentication') {
    tell('cancel', { cookie: (message.body as unknown[])[0] });
    bus.send(dbus.Message.newMethodReturn(message));
    endDialog('dismiss');
    return true;
  }
  return false;
});
bus.once('connect', () => {
  const subject = [
    'unix-process',
    { pid: new dbus.Variant('u', Number(pid)), 'start-time': new dbus.Variant('t', BigInt(startTime)) },
  ];
  const register = new dbus.Message({
    destination: 'org.freedesktop.PolicyKit1',
    path: '/org/freedesktop/PolicyKit1/Authority',
    interface: 'org.freedesktop.PolicyKit1.Authority',
    member: 'RegisterAuthenticationAgent',
    signature: '(sa{sv})ss',
    body: [subject, locale, PATH],
  });
  bus.call(register).then(
    () => tell('registered'),
    (error: unknown) => {
      tell('error', { message: (error as Error).message });
      process.exit(1);
    },
  );
});
createInterface({ input: process.stdin }).on('line', endDialog);
