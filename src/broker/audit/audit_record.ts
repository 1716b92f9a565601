/** What one audit record says beside time and subject; see docs/privilege-separation.md for the fields. */
export interface AuditRecord {
  readonly action: 'open' | 'ask' | 'prepare' | 'revoke' | 'end' | 'downgrade' | 'downgraded';
  readonly verdict: 'allow' | 'deny' | 'error';
  readonly [field: string]: unknown;
}
