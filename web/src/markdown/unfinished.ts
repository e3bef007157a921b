// The end of an answer that is still coming. Half a mark would be shown as something else than what it is going to be:
// a row of dashes makes a heading of the line above, two stars are two stars until two more come. So marks at the very
// end wait, and what was opened is closed.

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const ONLY_MARKS = /^\s*(?:[-=*+_~`>#|:$\\\s]|\d{1,9}[.)]?(?=\s|$))*$/;
const PARTIAL_LINK = /!?\[([^[\]]*)(?:\](?:\([^()\s]*)?)?$/;

// The fence that is open at the end of the text, if there is one.
function openFence(lines: string[]): string | null {
  let open: string | null = null;
  for (const line of lines) {
    const mark = FENCE.exec(line)?.[1];
    if (!mark) continue;
    if (open === null) open = mark;
    else if (mark.startsWith(open) && line.trim() === mark) open = null;
  }
  return open;
}

function closeEmphasis(paragraph: string): string {
  const withoutCode = paragraph.replaceAll(/(`+)[^`]+?\1(?!`)/g, '');
  if (/`[^`]+$/.test(withoutCode) && !withoutCode.includes('``')) return `${paragraph}\``;
  const open: string[] = [];
  for (const [mark] of withoutCode.matchAll(/(?<!\\)(?:\*{1,3}(?=\S)|(?<=\S)\*{1,3}|~~)/g)) {
    if (open.at(-1) === mark) open.pop();
    else open.push(mark);
  }
  if (open.length > 2) return paragraph; // stars that are no emphasis
  return paragraph.trimEnd() + open.toReversed().join('');
}

// A mark at the very end may be the first half of a longer one.
const withoutLastMark = (line: string): string =>
  line.replace(/(?:[*_~`$\\]|!?\[)+$/, '').replace(PARTIAL_LINK, '$1');

export function tidyEnd(text: string): string {
  const lines = text.split('\n');
  const last = lines.pop() ?? '';
  const fence = openFence(lines);
  if (fence !== null) return FENCE.test(last) || /^\s*[`~]+$/.test(last) ? lines.join('\n') : text;
  if (ONLY_MARKS.test(last)) return lines.join('\n');
  if (FENCE.test(last) || last.startsWith('$$') || last.startsWith('\\[')) return text;
  const begin = text.lastIndexOf('\n\n') + 1;
  const paragraph = text.slice(begin, text.length - last.length) + withoutLastMark(last);
  return text.slice(0, begin) + closeEmphasis(paragraph);
}
