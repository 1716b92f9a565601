/** An audit record without time and subject; docs/privilege-separation.md describes the fields. */
export interface AuditRecord {
  readonly action: 'open' | 'ask' | 'prepare' | 'revoke' | 'end' | 'downgrade' | 'downgraded';
  readonly verdict: 'allow' | 'deny' | 'error';
  readonly [field: string]: unknown;
}
