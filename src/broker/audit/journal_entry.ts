/** An audit record as an entry of the journal: a sentence for people, fields to search by, and the record itself. */
import type { Subject } from '../../model/identity/subject.js';
import type { AuditRecord } from './audit_record.js';
import type { JournalField } from './journal.js';
import { escapeControls } from '../../common/escape_controls.js';

/** One for each action, for ever: `journalctl MESSAGE_ID=…`. docs/systemd.md lists them. */
export const MESSAGE_IDS: Readonly<Record<AuditRecord['action'], string>> = {
  open: 'd1c5004992d64b9594de95de091ed969',
  ask: '5b9f37574cc24a238bb05521ed7737ce',
  prepare: '0dd3bb494b014810aa8f29af2bfd69d8',
  revoke: '5b96214da04542148d0e716a68ad821e',
  end: '242d422854684f10be48214da24eaae0',
  downgrade: 'e621db43a61245be831fff88d2eeb601',
  downgraded: '79a59b33f4a5411d958b1a23ae0e2180',
};

/** syslog(3): notice for allowed actions, warning for others. */
const PRIORITIES: Readonly<Record<AuditRecord['verdict'], string>> = { allow: '5', deny: '4', error: '4' };

/** Characters of a sentence, which is read in a terminal. The record has all of it. */
const MAX_SENTENCE = 400;

/**
 * Values of one field. journald drops an entry of more than 1,024 fields (ENTRY_FIELD_COUNT_MAX), and a denial has a reason for
 * each rule. It is the limit of targets, so that each of these can be searched for; the record has all of every list.
 */
const MAX_VALUES = 256;

const VERBS: Readonly<Record<AuditRecord['action'], string>> = {
  open: 'opens events',
  ask: 'needs authorization',
  prepare: 'gets a ticket',
  revoke: 'revokes',
  end: 'loses',
  downgrade: 'takes capabilities',
  downgraded: 'took capabilities',
};

/** @param line the record as one line of JSON */
export function auditEntry(subject: Subject, record: AuditRecord, line: string): JournalField[] {
  const { action, verdict, ...rest } = record;
  const fields: JournalField[] = [
    ['MESSAGE', sentence(subject, record)],
    ['MESSAGE_ID', MESSAGE_IDS[action]],
    ['PRIORITY', PRIORITIES[verdict]],
    ['SYSLOG_IDENTIFIER', 'perfbroker'],
    ['PERFBROKER_ACTION', action],
    ['PERFBROKER_VERDICT', verdict],
    ['PERFBROKER_UID', String(subject.uid)],
    ['PERFBROKER_GID', String(subject.gid)],
    ['PERFBROKER_PID', String(subject.pid)],
    ['PERFBROKER_EXECUTABLE', subject.executable],
    ['PERFBROKER_CGROUP', subject.cgroup],
  ];
  for (const [key, value] of Object.entries(rest)) {
    for (const text of textsOf(value).slice(0, MAX_VALUES)) fields.push([fieldName(key), text]);
  }
  fields.push(['PERFBROKER_RECORD', line]);
  return fields;
}

/** Keys of the subject. In a record they describe the target. */
const SUBJECT_KEYS = ['uid', 'gid', 'pid', 'executable', 'cgroup'];

/** Lists give several values of one field, which is named in the singular: `targets` is PERFBROKER_TARGET. */
function fieldName(key: string): string {
  if (SUBJECT_KEYS.includes(key)) return `PERFBROKER_TARGET_${key.toUpperCase()}`;
  const singular = key === 'targets' || key === 'events' || key === 'reasons' ? key.slice(0, -1) : key;
  return `PERFBROKER_${singular.replace(/[A-Z]/g, '_$&').toUpperCase()}`;
}

function textsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(textsOf);
  if (typeof value === 'object' && value !== null) return [objectText(value as Record<string, unknown>)];
  return typeof value === 'string' ? [value] : value === undefined || value === null ? [] : [JSON.stringify(value)];
}

/** The name of a target; everything else as JSON. */
function objectText(value: Record<string, unknown>): string {
  if (typeof value['name'] === 'string') return value['name'];
  if (typeof value['pid'] !== 'number') return JSON.stringify(value);
  const thread = typeof value['tid'] === 'number' ? ` thread ${value['tid']}` : '';
  return `pid ${value['pid']}${thread}${typeof value['executable'] === 'string' ? ` ${value['executable']}` : ''}`;
}

function sentence({ uid, pid, executable }: Subject, record: AuditRecord): string {
  const list = (key: string): string => textsOf(record[key]).join(', ');
  const about = (word: string, key: string): string => (list(key) === '' ? '' : ` ${word} ${list(key)}`);
  const text =
    `${record.verdict}: uid ${uid} (pid ${pid} ${executable}) ${VERBS[record.action]}` +
    about('', 'events') +
    about('on', 'targets') +
    about('by rule', 'rule') +
    about(record.action === 'open' ? 'as grant' : 'grant', 'grant') +
    about('of uid', 'of') +
    about('because', 'reasons') +
    about('because', 'error') +
    about('because', 'reason');
  const oneLine = escapeControls(text.replaceAll('  ', ' '));
  return oneLine.length > MAX_SENTENCE ? `${oneLine.slice(0, MAX_SENTENCE)}…` : oneLine;
}
