// What is done to sanitised HTML before it is shown: a head with a copy button on code, colours, mathematics. Colours
// and mathematics come in files of their own; what is shown before they are there is redone when they are.
import { signal } from '@preact/signals';

type Highlight = typeof import('./highlight.ts').highlight;
type Typeset = typeof import('./typeset.ts').typeset;

let highlight: Highlight | undefined;
let typeset: Typeset | undefined;
let typesetAsked = false;

// Counts the tools that have arrived.
export const tools = signal(0);

// Without them, as when the server has gone away meanwhile, an answer is as readable, but plain.
export async function loadHighlight(): Promise<void> {
  const tool = await import('./highlight.ts').catch(() => undefined);
  if (!tool) return;
  highlight = tool.highlight;
  tools.value++;
}

async function loadTypeset(): Promise<void> {
  const tool = await import('./typeset.ts').catch(() => undefined);
  typesetAsked = tool !== undefined;
  if (!tool) return;
  typeset = tool.typeset;
  tools.value++;
}

function headOf(language: string): HTMLElement {
  const head = document.createElement('div');
  head.className = 'code-head';
  const name = document.createElement('span');
  name.textContent = language || 'text';
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', 'Copy code');
  head.append(name, button);
  return head;
}

function enhanceCode(code: HTMLElement): void {
  const pre = code.parentElement;
  if (pre?.tagName !== 'PRE') return;
  const language = code.className.replace('language-', '');
  const coloured = highlight?.(code.textContent, language);
  if (coloured) code.innerHTML = coloured;
  pre.tabIndex = 0; // scrolls sideways by keyboard
  const frame = document.createElement('div');
  frame.className = 'code';
  pre.replaceWith(frame);
  frame.append(headOf(language), pre);
}

function enhanceMaths(element: HTMLElement): void {
  const display = element.classList.contains('display');
  if (typeset) {
    element.replaceChildren(...typeset(element.textContent, display).childNodes);
    element.classList.add('typeset');
    if (display) element.tabIndex = 0;
  } else if (!typesetAsked) {
    typesetAsked = true;
    void loadTypeset();
  }
}

export function enhance(fragment: DocumentFragment): void {
  for (const code of fragment.querySelectorAll<HTMLElement>('pre > code')) enhanceCode(code);
  for (const maths of fragment.querySelectorAll<HTMLElement>('.maths')) enhanceMaths(maths);
  for (const table of fragment.querySelectorAll<HTMLElement>('.table')) table.tabIndex = 0;
}
