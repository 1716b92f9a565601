import { writeSync } from 'node:fs';
import type { Subject } from '../../model/identity/subject.js';
import { auditEntry } from './journal_entry.js';
import type { AuditRecord } from './audit_record.js';
import type { Journal } from './journal.js';
import { escapeControls } from '../../common/escape_controls.js';

/**
 * Writes each record as a line of JSON with one synchronous write(2), or as an entry of the journal: a grant is handed over only after its
 * record is out. JSON.stringify escapes C0 controls; DEL, C1 and the Unicode line
 * separators are escaped here.
 */
export class AuditLog {
  readonly #output: number | Journal;
  readonly #now: () => Date;
  /** The disk was full in the middle of a record. The next record begins on a line of its own. */
  #torn = false;

  /** @param output a file's fd, or the journal */
  constructor(output: number | Journal, now: () => Date = () => new Date()) {
    this.#output = output;
    this.#now = now;
  }

  /** @throws the error of write(2) or sendto(2), e.g. ENOSPC, EAGAIN: the caller must not hand over anything that could not be recorded */
  write(subject: Subject, record: AuditRecord): void {
    const line = escapeControls(this.#json(subject, record));
    if (typeof this.#output === 'number') this.#writeLine(this.#output, line);
    else this.#output.send(auditEntry(subject, record, line));
  }

  #writeLine(fd: number, line: string): void {
    const bytes = Buffer.from(`${this.#torn ? '\n' : ''}${line}\n`, 'utf8');
    let written = writeSync(fd, bytes);
    this.#torn = true;
    while (written < bytes.length) written += writeSync(fd, bytes, written);
    this.#torn = false;
  }

  #json(subject: Subject, record: AuditRecord): string {
    return JSON.stringify({
      time: this.#now().toISOString(),
      ...record,
      subject: {
        uid: subject.uid,
        gid: subject.gid,
        pid: subject.pid,
        startTime: String(subject.startTime),
        executable: subject.executable,
        cgroup: subject.cgroup,
      },
    });
  }
}
