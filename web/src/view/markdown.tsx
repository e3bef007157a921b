import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { tools } from '../markdown/enhance.ts';
import { MarkdownDocument } from '../markdown/document.ts';
import { copyText } from './clipboard.ts';

const FRAME_MS = 40;
const SHARE = 4; // painting may take one part in this many of the time

// Paints at most every 40 ms, and less often where painting is slow: the last text given is always painted.
class Painter {
  #document: MarkdownDocument;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #next = 0;
  #text = '';

  constructor(root: HTMLElement) {
    this.#document = new MarkdownDocument(root);
  }

  show(text: string, growing: boolean): void {
    this.#text = text;
    if (growing) {
      this.#timer ??= setTimeout(() => this.#paint(true), Math.max(0, this.#next - performance.now()));
      return;
    }
    this.stop();
    this.#paint(false);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #paint(growing: boolean): void {
    this.#timer = undefined;
    const begin = performance.now();
    this.#document.update(this.#text, growing);
    const end = performance.now();
    this.#next = end + Math.max(FRAME_MS, (end - begin) * SHARE);
  }
}

function copyCode(event: MouseEvent): void {
  const button = event.target instanceof Element ? event.target.closest('button.copy') : null;
  const code = button?.closest('.code')?.querySelector('code');
  if (!button || !code) return;
  void copyText(code.textContent);
  button.textContent = 'Copied';
  setTimeout(() => (button.textContent = 'Copy'), 1_500);
}

export function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const root = useRef<HTMLDivElement>(null);
  const painter = useRef<Painter>(null);
  const arrived = tools.value;
  useLayoutEffect(() => {
    if (!root.current) return;
    painter.current ??= new Painter(root.current);
    painter.current.show(text, growing);
  }, [text, growing, arrived]);
  useEffect(() => () => painter.current?.stop(), []);
  return <div class="markdown" ref={root} onClick={copyCode} />;
}
