// Markdown to HTML, in the blocks that stand at the top level. HTML in the source is shown as text; images become links,
// because an image's address would tell its server that it was read.
import MarkdownIt from 'markdown-it';
import { escapeHtml } from './escape.ts';
import { addMaths } from './maths.ts';

const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true });
addMaths(markdown);
markdown.validateLink = (address) => /^(?:https?:|mailto:)/i.test(address.trim());
markdown.linkify.set({ fuzzyLink: false });

const { rules } = markdown.renderer;

rules['image'] = (tokens, index) => {
  const token = tokens[index];
  const address = String(token?.attrGet('src') ?? '');
  return `<a href="${escapeHtml(address)}">${escapeHtml(token?.content || address)}</a>`;
};

const LANGUAGE = /^[\w+#.-]{1,24}/;

rules['fence'] = (tokens, index) => {
  const token = tokens[index];
  const language = LANGUAGE.exec(token?.info.trim() ?? '')?.[0] ?? '';
  return `<pre><code class="language-${escapeHtml(language.toLowerCase())}">${escapeHtml(token?.content ?? '')}</code></pre>`;
};
rules['code_block'] = rules['fence'];

rules['table_open'] = () => '<div class="table"><table>';
rules['table_close'] = () => '</table></div>';

// The Content-Security-Policy allows no style attributes, which is how markdown-it aligns columns.
for (const cell of ['th_open', 'td_open']) {
  rules[cell] = (tokens, index) => {
    const token = tokens[index];
    const side = /text-align:(\w+)/.exec(String(token?.attrGet('style') ?? ''))?.[1];
    return side ? `<${token?.tag} class="${side}">` : `<${token?.tag}>`;
  };
}

export interface Block {
  begin: number; // line numbers in the source
  end: number;
  html: string;
}

export function parseBlocks(source: string): Block[] {
  const env = {};
  const tokens = markdown.parse(source, env);
  const blocks: Block[] = [];
  for (let first = 0; first < tokens.length;) {
    let last = first;
    for (let depth = tokens[first]?.nesting ?? 0; depth > 0;) depth += tokens[++last]?.nesting ?? -1;
    const [begin, end] = tokens[first]?.map ?? [0, 0];
    const html = markdown.renderer.render(tokens.slice(first, last + 1), markdown.options as Options, env);
    blocks.push({ begin, end, html });
    first = last + 1;
  }
  return blocks;
}

type Options = Parameters<typeof markdown.renderer.render>[1];
