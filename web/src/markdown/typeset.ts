// Mathematics by KaTeX, built as elements: it sets their styles one by one, which the Content-Security-Policy allows,
// where style attributes in HTML would be dropped. Loaded with the first formula.
import katex from 'katex';
import 'katex/dist/katex.min.css';

const MAX_KEPT = 500;
const kept = new Map<string, HTMLElement>();

function build(tex: string, display: boolean): HTMLElement {
  const element = document.createElement('span');
  try {
    katex.render(tex, element, {
      displayMode: display,
      trust: false,
      maxExpand: 500,
      maxSize: 20,
      strict: false,
    });
  } catch {
    element.textContent = tex; // half a formula, or one that KaTeX does not know: as it was written
    element.className = 'tex';
  }
  return element;
}

// Returns an element of the caller's own. A formula in a paragraph that grows is typeset once.
export function typeset(tex: string, display: boolean): HTMLElement {
  const key = `${display ? 'd' : 'i'}${tex}`;
  let element = kept.get(key);
  if (!element) {
    if (kept.size >= MAX_KEPT) kept.clear();
    element = build(tex, display);
    kept.set(key, element);
  }
  return element.cloneNode(true) as HTMLElement;
}
