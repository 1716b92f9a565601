/** Characters of one text in a dialog. */
const MAX_TEXT = 200;
/** Control and format characters (bidi overrides among them), line separators, unpaired surrogates, characters without a meaning. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;
/** Agents exist that take the message for Pango or Qt markup. */
const MARKUP: Readonly<Record<string, string>> = { '<': '‹', '>': '›', '&': '＆' };

/**
 * A text for an authorization dialog. Users choose the names of their programs: nothing in them moves, hides or dresses up the dialog.
 * The broker and the authorizer both use it, because the authorizer does not trust the broker.
 */
export function dialogText(text: string): string {
  const characters = Array.from(text.slice(0, 2 * MAX_TEXT + 2));
  const kept = characters.length > MAX_TEXT ? [...characters.slice(0, MAX_TEXT - 1), '…'] : characters;
  return kept
    .join('')
    .replaceAll(UNPRINTABLE, '\ufffd')
    .replaceAll(/[<>&]/g, (character) => MARKUP[character] ?? '');
}
