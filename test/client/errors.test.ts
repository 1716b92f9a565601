import test from 'ava';
import { connectError, errorFromReply, VarlinkError } from '#dist/client/errors.js';
import { BrokerError } from '#dist/model/errors/errors.js';

const PARAMETERS = { code: 'no-rule', message: 'no rule allows it', errno: 13, cause: 'c', remedy: 'r', reasons: [1] };

test('an error of the interface is rebuilt with all its fields', (t) => {
  const error = errorFromReply('org.perfbroker.Broker.PolicyDenied', PARAMETERS);
  t.true(error instanceof BrokerError);
  t.like(error, {
    error: 'PolicyDenied',
    code: 'no-rule',
    message: 'no rule allows it',
    errno: 13,
    explanation: 'c',
    remedy: 'r',
    details: { reasons: [1] },
  });
});

test('fields of another type are replaced, as an older broker may not send them', (t) => {
  const { code, message } = PARAMETERS;
  const error = errorFromReply('org.perfbroker.Broker.PolicyDenied', { code, message, errno: '1', cause: 2 });
  t.like(error, { errno: 0, explanation: '', remedy: '', details: {} });
});

test('an error with another name, or without code and message, is a VarlinkError', (t) => {
  for (const [name, parameters] of [
    ['org.perfbroker.Broker.Newer', PARAMETERS],
    ['org.varlink.service.InvalidParameter', PARAMETERS],
    ['PolicyDenied', PARAMETERS],
    ['org.perfbroker.Broker.PolicyDenied', { ...PARAMETERS, code: 1 }],
    ['org.perfbroker.Broker.PolicyDenied', { code: 'no-rule' }],
  ] as const) {
    const error = errorFromReply(name, parameters);
    t.true(error instanceof VarlinkError, name);
    t.like(error, { error: name, parameters });
  }
});

test('a failure to connect is explained by its errno, and any other error stays', (t) => {
  const of = (code: string): Error => connectError(Object.assign(new Error('x'), { code, errno: 1 }), '/s');
  for (const [errno, code, message] of [
    ['ENOENT', 'not-running', /there is no socket \/s/],
    ['ECONNREFUSED', 'not-running', /no process listens on \/s/],
    ['EAGAIN', 'timed-out', /backlog is full/],
    ['EACCES', 'no-access', /\(EACCES\)/],
    ['EPERM', 'no-access', /\(EPERM\)/],
  ] as const) {
    const error = of(errno);
    t.like(error, { error: 'Unavailable', code, errno: 1 });
    t.regex(error.message, message);
  }
  t.false(of('EPROTO') instanceof BrokerError);
});
