const CONTROLS = /[\p{Cc}\u2028\u2029]/gu;

/** Names of processes and files come from users: no escape sequence of theirs reaches a terminal or starts a new line. */
export function escapeControls(text: string): string {
  return text.replace(CONTROLS, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
