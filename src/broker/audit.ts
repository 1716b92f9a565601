import { writeSync } from 'node:fs';
import type { Subject } from '../model/subject.js';
import { escapeControls } from './logger.js';

/** What one audit line says beside time and subject; see docs/privilege-separation.md for the fields. */
export interface AuditRecord {
  readonly action: 'open' | 'revoke' | 'end' | 'downgrade' | 'downgraded';
  readonly verdict: 'allow' | 'deny' | 'error';
  readonly [field: string]: unknown;
}

/**
 * One JSON object a line, written with one synchronous write(2): a grant is handed over only after its line is out.
 * JSON.stringify escapes C0 controls; DEL, C1 and the Unicode line separators are escaped here.
 */
export class AuditLog {
  readonly #fd: number;
  readonly #now: () => Date;

  constructor(fd: number, now: () => Date = () => new Date()) {
    this.#fd = fd;
    this.#now = now;
  }

  /** @throws the error of write(2), e.g. ENOSPC: the caller must not hand over what could not be recorded */
  write(subject: Subject, record: AuditRecord): void {
    const line = JSON.stringify({
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
    const bytes = Buffer.from(`${escapeControls(line)}\n`, 'utf8');
    let written = writeSync(this.#fd, bytes);
    while (written < bytes.length) written += writeSync(this.#fd, bytes, written);
  }
}
