// The end of an answer that is still coming. Half a mark would be shown as something else than what it is going to be:
// a row of dashes makes a heading of the line above, two stars are two stars until two more come. So marks at the very
// end wait, and what was opened is closed. All of it takes time in proportion to the text.

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const ONLY_MARKS = /^(?:[-=*+_~`>#|:$\\\s]*|[\s>]*(?:[-*+]\s)?\d{1,9}[.)]?\s*)$/;
const PARTIAL_LINK = /!?\[([^[\]]*)(?:\](?:\([^()\s]*)?)?$/;
const LONGEST = 20_000; // characters of a paragraph whose marks are looked at

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

const isBlank = (character: string | undefined): boolean => character === undefined || /\s/.test(character);
const isWord = (character: string | undefined): boolean =>
  character !== undefined && /[\p{L}\p{N}]/u.test(character);

// A run of stars, underscores or tildes: closes what is open as far as it goes, then opens.
function takeRun(run: string, before: string | undefined, after: string | undefined, open: string[]): void {
  const inWord = run.startsWith('_') && isWord(before) && isWord(after);
  if (inWord || run === '~' || run.length > 3) return;
  let rest = run;
  while (
    !isBlank(before) &&
    rest !== '' &&
    open.at(-1)?.[0] === run[0] &&
    rest.startsWith(open.at(-1) ?? rest)
  ) {
    rest = rest.slice(open.pop()?.length);
  }
  if (rest !== '' && !isBlank(after)) open.push(rest);
}

// The marks that close what the paragraph leaves open.
function missingMarks(paragraph: string): string {
  const open: string[] = [];
  for (let at = 0; at < paragraph.length;) {
    const [run = ''] = /^(?:\\.|`+|\*+|_+|~+)/s.exec(paragraph.slice(at, at + 32)) ?? [];
    const end = at + (run.length || 1);
    if (run.startsWith('`')) {
      const close = paragraph.indexOf(run, end);
      if (close < 0) return run;
      at = close + run.length;
      continue;
    }
    if (run !== '' && !run.startsWith('\\')) takeRun(run, paragraph[at - 1], paragraph[end], open);
    at = end;
  }
  return open.length > 3 ? '' : open.toReversed().join(''); // so many are no emphasis
}

// Marks at the very end may be the first half of longer ones.
function withoutLastMarks(line: string): string {
  let end = line.length;
  while (
    end > 0 &&
    '*_~`$\\[!'.includes(line[end - 1] ?? '') &&
    !(line[end - 1] === '!' && line[end] !== '[')
  )
    end--;
  return line.slice(0, end).replace(PARTIAL_LINK, '$1');
}

// A mark that closes something is kept: "**bold**" must not lose its end while nothing follows.
function tidyLine(before: string, line: string): string {
  const bare = withoutLastMarks(line);
  const missing = missingMarks(before + bare);
  return bare.trimEnd() + missing;
}

export function tidyEnd(text: string): string {
  const lines = text.split('\n');
  const last = lines.pop() ?? '';
  if (openFence(lines) !== null) return /^\s*[`~]+$/.test(last) ? lines.join('\n') : text;
  if (ONLY_MARKS.test(last)) return lines.join('\n');
  if (FENCE.test(last) || last.startsWith('$$') || last.startsWith('\\[')) return text;
  const begin = text.lastIndexOf('\n\n') + 1;
  const lineBegin = text.length - last.length;
  if (text.length - begin > LONGEST) return text;
  return text.slice(0, lineBegin) + tidyLine(text.slice(begin, lineBegin), last);
}
