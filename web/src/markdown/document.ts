// An answer on the screen, kept in step with its text. While the text grows only its last block is parsed again: a block
// that another has followed does not change any more.
import { enhance, tools } from './enhance.ts';
import { parseBlocks, type Block } from './parser.ts';
import { patchChildren } from './patch.ts';
import { sanitise } from './sanitise.ts';
import { tidyEnd } from './unfinished.ts';

export class MarkdownDocument {
  readonly #root: HTMLElement;
  #settled = 0; // characters of the text, and
  #settledBlocks = 0; // children of the root, that are final
  #shown: string[] = []; // the HTML of each child, and what it was shown with
  #tools = 0; // what there was to show it with

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  // `growing`: more is to come. Otherwise the text is parsed as a whole, and the last of it read as it stands.
  update(text: string, growing: boolean): void {
    if (!growing || this.#tools !== tools.peek()) this.#settled = this.#settledBlocks = 0;
    this.#tools = tools.peek();
    const rest = text.replaceAll(/\r\n?/g, '\n').slice(this.#settled);
    const source = growing ? tidyEnd(rest) : rest;
    const blocks = parseBlocks(source);
    blocks.forEach((block, index) => this.#show(this.#settledBlocks + index, block));
    this.#dropAfter(this.#settledBlocks + blocks.length);
    if (growing) this.#settle(source, blocks);
  }

  #show(index: number, block: Block): void {
    const shown = /<pre|class="maths/.test(block.html) ? `${this.#tools} ${block.html}` : block.html;
    if (this.#shown[index] === shown) return;
    this.#shown[index] = shown;
    const fragment = sanitise(block.html);
    enhance(fragment);
    let element = this.#root.children[index];
    if (!element) {
      element = document.createElement('div');
      element.setAttribute('dir', 'auto');
      this.#root.append(element);
    }
    element.className = `block ${fragment.firstElementChild?.tagName.toLowerCase() ?? ''}`;
    patchChildren(element, fragment);
  }

  #dropAfter(count: number): void {
    while (this.#root.children.length > count) this.#root.lastElementChild?.remove();
    this.#shown.length = count;
  }

  #settle(source: string, blocks: Block[]): void {
    const last = blocks.at(-1);
    if (!last || blocks.length < 2) return;
    const lines = source.split('\n').slice(0, last.begin);
    this.#settled += lines.reduce((length, line) => length + line.length + 1, 0);
    this.#settledBlocks += blocks.length - 1;
  }
}
