import test from 'ava';
import { promptingOpener, whileAuthorizing } from '#dist/cli/authorization_prompt.js';
import { Failure } from '#dist/cli/failure.js';
import type { Client } from '#dist/client/index.js';
import type { OpenEvents } from '#dist/collector/event_opener.js';

const REQUEST: OpenEvents = { targets: [{ system: true }], events: [] };

test('a request carries whether a prompt is allowed', async (t) => {
  for (const interactive of [true, false]) {
    let seen: unknown;
    const client = {
      open: (request: unknown) => {
        seen = request;
        return Promise.resolve('grant');
      },
    } as unknown as Client;
    const grant: unknown = await promptingOpener(client, interactive).open(REQUEST);
    t.is(grant, 'grant');
    t.like(seen, { allowInteractive: interactive });
  }
});

test('an interrupt closes the connection, which withdraws the prompt, and is exit code 130', async (t) => {
  const interrupt = new AbortController();
  let close = (): void => undefined;
  const client = {
    open: () => new Promise((_resolve, reject) => (close = () => reject(new Error('closed')))),
    close: () => {
      close();
      return Promise.resolve();
    },
  } as unknown as Client;
  const opening = promptingOpener(client, true, interrupt.signal).open(REQUEST);
  interrupt.abort();
  const failure = await t.throwsAsync(opening, { instanceOf: Failure, message: /^interrupted/ });
  t.is(failure.exitCode, 130);
});

test('a refusal is passed on as it is', async (t) => {
  const client = { open: () => Promise.reject(new Error('denied')) } as unknown as Client;
  await t.throwsAsync(promptingOpener(client, false, new AbortController().signal).open(REQUEST), {
    message: 'denied',
  });
});

test('a notice is printed only where a rule asks, and not after the answer', async (t) => {
  const later = <T>(ms: number, value: T): Promise<T> => new Promise((resolve) => setTimeout(() => resolve(value), ms));
  const printed = async (interactive: boolean, isAsked?: () => Promise<boolean>): Promise<string> => {
    let text = '';
    let isChecked: () => void = () => undefined;
    const checked = new Promise<void>((resolve) => (isChecked = resolve));
    const answer = interactive ? checked.then(() => later(20, 7)) : later(20, 7);
    const print = (line: string): unknown => (text += line);
    const check = async (): Promise<boolean> => {
      setImmediate(isChecked);
      return (await isAsked?.()) ?? true;
    };
    t.is(await whileAuthorizing(interactive, answer, { isAsked: check, afterMs: 1, print }), 7);
    return text;
  };
  t.is(await printed(true), 'Waiting for authorization (polkit) ...\n');
  t.is(await printed(true, () => Promise.resolve(false)), '');
  t.is(await printed(true, () => Promise.reject(new Error('refused'))), '');
  t.is(await printed(true, () => later(200, true)), '', 'the answer came first');
  t.is(await printed(false), '');
});
