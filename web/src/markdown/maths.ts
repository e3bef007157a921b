// A markdown-it rule for TeX: $...$ and \(...\) in a line, $$...$$ and \[...\] as blocks. The result is an element that
// holds the TeX as text; typeset.ts makes mathematics of it later.
import type { MarkdownIt, StateBlock, StateInline } from 'markdown-it';
import { escapeHtml } from './escape.ts';

interface Marks {
  open: string;
  close: string;
  display: boolean;
}

const INLINE: Marks[] = [
  { open: '$$', close: '$$', display: true },
  { open: '\\[', close: '\\]', display: true },
  { open: '\\(', close: '\\)', display: false },
  { open: '$', close: '$', display: false },
];
const BLOCK = INLINE.filter((marks) => marks.display);

const MAX_TEX = 10_000; // characters

// What was looked for to the end of a paragraph, and from where on it is not there, need not be looked for again.
const absent = new WeakMap<StateInline, Map<string, number>>();

function findClose(state: StateInline, from: number, close: string): number {
  const missing = absent.get(state) ?? new Map<string, number>();
  absent.set(state, missing);
  if (from >= (missing.get(close) ?? Infinity)) return -1;
  const end = closeAfter(state.src, from, Math.min(state.posMax, from + MAX_TEX), close);
  if (end < 0 && state.src.indexOf(close, from) < 0) missing.set(close, from);
  return end;
}

function closeAfter(text: string, from: number, limit: number, close: string): number {
  for (
    let at = text.indexOf(close, from);
    at >= 0 && at + close.length <= limit;
    at = text.indexOf(close, at + 1)
  ) {
    if (text[at - 1] !== '\\' || close.startsWith('\\')) return at;
  }
  return -1;
}

// A single dollar is money more often than mathematics. Pandoc's rule: no blank after the first, none before the
// second, and no digit after that.
function isMoney(tex: string, after: string | undefined): boolean {
  return /^\s|\s$/.test(tex) || /\d/.test(after ?? '');
}

function inlineRule(state: StateInline, silent: boolean): boolean {
  const marks = INLINE.find(({ open }) => state.src.startsWith(open, state.pos));
  if (!marks) return false;
  const begin = state.pos + marks.open.length;
  const end = findClose(state, begin, marks.close);
  const tex = state.src.slice(begin, end);
  if (end < 0 || tex.trim() === '') return false;
  if (marks.open === '$' && isMoney(tex, state.src[end + 1])) return false;
  if (!silent) {
    const token = state.push('maths', '', 0);
    token.content = tex;
    token.meta = { display: marks.display };
  }
  state.pos = end + marks.close.length;
  return true;
}

function lineAt(state: StateBlock, line: number): string {
  const begin = (state.bMarks[line] ?? 0) + (state.tShift[line] ?? 0);
  return state.src.slice(begin, state.eMarks[line]).trimEnd();
}

// From the line after `first` to the one that ends with `close`; the whole rest while the answer is still coming.
function linesOfBlock(
  state: StateBlock,
  first: number,
  last: number,
  { open, close }: Marks,
): [string[], number] {
  const head = lineAt(state, first).slice(open.length);
  if (head.endsWith(close)) return [[head.slice(0, -close.length)], first + 1];
  const lines = [head];
  for (let line = first + 1; line < last; line++) {
    const text = lineAt(state, line);
    if (text.endsWith(close)) return [[...lines, text.slice(0, -close.length)], line + 1];
    lines.push(text);
  }
  return [lines, last];
}

function blockRule(state: StateBlock, first: number, last: number, silent: boolean): boolean {
  const text = lineAt(state, first);
  const marks = BLOCK.find(({ open }) => text.startsWith(open));
  if (!marks) return false;
  const inside = text.indexOf(marks.close, marks.open.length);
  if (inside >= 0 && inside + marks.close.length < text.length) return false; // words follow: a paragraph
  if (silent) return true;
  const [lines, next] = linesOfBlock(state, first, last, marks);
  const token = state.push('maths', '', 0);
  token.block = true;
  token.map = [first, next];
  token.content = lines.join('\n').slice(0, MAX_TEX);
  token.meta = { display: true };
  state.line = next;
  return true;
}

export function addMaths(markdown: MarkdownIt): void {
  markdown.inline.ruler.before('escape', 'maths', inlineRule);
  markdown.block.ruler.before('fence', 'maths', blockRule, { alt: ['paragraph', 'blockquote', 'list'] });
  markdown.renderer.rules['maths'] = (tokens, index) => {
    const token = tokens[index];
    const kind = token?.meta?.['display'] ? 'maths display' : 'maths';
    return `<span class="${kind}">${escapeHtml(token?.content.trim() ?? '')}</span>`;
  };
}
