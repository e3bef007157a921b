import './dom.ts';
import { processorTime } from './processor_time.ts';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { MarkdownDocument } from '../../../web/src/markdown/document.ts';
import { loadHighlight } from '../../../web/src/markdown/enhance.ts';
import { parseBlocks } from '../../../web/src/markdown/parser.ts';
import { sanitise } from '../../../web/src/markdown/sanitise.ts';

const SAMPLE = readFileSync(new URL('../markdown.md', import.meta.url), 'utf8');
const HOSTILE = readFileSync(new URL('../hostile.md', import.meta.url), 'utf8');

function shown(text: string): HTMLElement {
  const root = document.createElement('div');
  new MarkdownDocument(root).update(text, false);
  return root;
}

const html = (text: string): string =>
  parseBlocks(text)
    .map((block) => block.html.trim())
    .join('');

beforeAll(loadHighlight);

describe('Markdown', () => {
  it.each([
    ['*a* **b** `c` ~~d~~', '<p><em>a</em> <strong>b</strong> <code>c</code> <s>d</s></p>'],
    ['one\ntwo', '<p>one<br>\ntwo</p>'],
    ['$x^2$ and \\(y\\)', '<p><span class="maths">x^2</span> and <span class="maths">y</span></p>'],
    ['$$a\n<b$$', '<span class="maths display">a\n&lt;b</span>'],
    ['\\[\na\n\\]\nText', '<span class="maths display">a</span><p>Text</p>'],
    ['$$\nstill comi', '<span class="maths display">still comi</span>'],
    ['$5 and $6', '<p>$5 and $6</p>'],
    ['[a $x$ b] $y', '<p>[a <span class="maths">x</span> b] $y</p>'],
    ['`$x$` \\$y$', '<p><code>$x$</code> $y$</p>'],
    ['```C++ {1}\n<b>\n```', '<pre><code class="language-c++">&lt;b&gt;\n</code></pre>'],
    [
      '|a|\n|-:|\n|1|',
      /<div class="table"><table>.*<th class="right">a<\/th>.*<td class="right">1<\/td>.*<\/table><\/div>/s,
    ],
    ['![alt](https://x.org/i.png)', '<p><a href="https://x.org/i.png">alt</a></p>'],
    ['https://x.org and x.org', '<p><a href="https://x.org">https://x.org</a> and x.org</p>'],
    ['<b>x</b>', '<p>&lt;b&gt;x&lt;/b&gt;</p>'],
  ])('%j', (text, expected) => {
    if (typeof expected === 'string') expect(html(text)).toBe(expected);
    else expect(html(text)).toMatch(expected);
  });

  it('opens links elsewhere, and tells that place nothing', () => {
    const link = shown('[x](https://x.org)').querySelector('a');
    expect(link?.getAttribute('rel')).toBe('noopener noreferrer');
    expect(link?.getAttribute('target')).toBe('_blank');
  });

  it('drops addresses that are no web pages', () => {
    for (const address of [
      'javascript:x',
      'JaVaScRiPt:x',
      'data:text/html,x',
      'vbscript:x',
      'file:///x',
      '/v1/models',
      '#x',
    ]) {
      expect(shown(`[x](${address})`).querySelector('a')).toBeNull();
      expect(shown(`![x](${address})`).querySelector('a[href], img')).toBeNull();
    }
  });

  it('colours code and gives it a button', () => {
    const code = shown('```python\nx = 1\n```');
    expect(code.querySelector('.hljs-number')?.textContent).toBe('1');
    expect(code.querySelector('button')?.getAttribute('aria-label')).toBe('Copy code');
    expect(code.querySelector('.code-head span')?.textContent).toBe('python');
    expect(shown('```nosuch\nx\n```').querySelector('code')?.textContent).toBe('x\n');
  });
});

const prefixes = (text: string, step: number) =>
  Array.from({ length: Math.ceil(text.length / step) }, (_, index) => text.slice(0, (index + 1) * step));

describe('a growing answer', () => {
  it('looks in the end as if it had come at once', () => {
    const root = document.createElement('div');
    const growing = new MarkdownDocument(root);
    for (const text of prefixes(SAMPLE, 7)) growing.update(text, true);
    growing.update(SAMPLE, false);
    expect(root.innerHTML).toBe(shown(SAMPLE).innerHTML);
  });

  it('is right while it grows: the last update changes nothing but the end', () => {
    const root = document.createElement('div');
    const growing = new MarkdownDocument(root);
    for (const text of prefixes(SAMPLE, 7)) growing.update(text, true);
    const before = [...root.children].slice(0, -1).map((child) => child.outerHTML);
    expect(before).toEqual([...shown(SAMPLE).children].slice(0, -1).map((child) => child.outerHTML));
  });

  it('never shows a row of dashes as a heading, or stars as stars', () => {
    const text = 'A **bold** word\n\n- one *two*\n- three\n\nText\n\n---\n\nMore';
    const root = document.createElement('div');
    const growing = new MarkdownDocument(root);
    for (const part of prefixes(text, 1)) {
      growing.update(part, true);
      expect(root.textContent).not.toMatch(/[*]|--/);
      expect(root.querySelector('h1, h2')).toBeNull();
    }
  });

  it('keeps the elements that are there', () => {
    const root = document.createElement('div');
    const growing = new MarkdownDocument(root);
    growing.update('One\n\nTwo is', true);
    const [one, two] = root.querySelectorAll('p');
    growing.update('One\n\nTwo is longer\n\n- Three', true);
    expect([...root.querySelectorAll('p')].slice(0, 2)).toEqual([one, two]);
    expect(root.querySelectorAll('p')[0]).toBe(one);
    expect(root.querySelectorAll('p')[1]).toBe(two);
    expect(two?.textContent).toBe('Two is longer');
  });

  it('reads lines however they end', () => {
    const root = document.createElement('div');
    const growing = new MarkdownDocument(root);
    const text = 'One\r\n\r\nTwo\r\rThree\n\nFour';
    for (const part of prefixes(text, 1)) growing.update(part, true);
    expect([...root.querySelectorAll('p')].map((p) => p.textContent)).toEqual([
      'One',
      'Two',
      'Three',
      'Four',
    ]);
  });
});

const ALLOWED = new Set(
  'A BLOCKQUOTE BR BUTTON CODE DIV EM H1 H2 H3 H4 H5 H6 HR LI OL P PRE S SPAN STRONG TABLE TBODY TD TH THEAD TR UL'.split(
    ' ',
  ),
);
const ATTRIBUTES = new Set('href class start target rel tabindex type aria-label dir'.split(' '));

function expectHarmless(root: ParentNode): void {
  for (const element of root.querySelectorAll('*')) {
    expect(ALLOWED).toContain(element.tagName);
    for (const { name } of element.attributes) expect(ATTRIBUTES).toContain(name);
    const href = element.getAttribute('href');
    if (href !== null) expect(href).toMatch(/^https?:\/\/|^mailto:/);
  }
}

// After the OWASP filter evasion sheet and DOMPurify's own tests.
const VECTORS = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<svg><animate onbegin=alert(1) attributeName=x dur=1s>',
  '<svg><script href="data:,alert(1)"/></svg>',
  '<math><maction actiontype="statusline#" xlink:href="javascript:alert(1)">x</maction></math>',
  '<a href="java\tscript:alert(1)">x</a>',
  '<a href=" &#14; javascript:alert(1)">x</a>',
  '<a href="&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A;alert(1)">x</a>',
  '<a href="https://x.org" onclick=alert(1) style="position:fixed" id=x name=y>x</a>',
  '<a href="/v1/models">x</a><a href="tel:1">x</a><a href="//x.org">x</a>',
  '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
  '<object data="javascript:alert(1)"></object><embed src="javascript:alert(1)">',
  '<form action="javascript:alert(1)"><input type=submit></form>',
  '<details open ontoggle=alert(1)>x</details>',
  '<style>@import "https://x.org/x.css";</style><link rel=stylesheet href="https://x.org/x.css">',
  '<base href="https://x.org/"><meta http-equiv=refresh content="0;url=javascript:alert(1)">',
  '<div style="background:url(https://x.org/x.png)">x</div>',
  '<video poster="https://x.org/x.png"><source src=x onerror=alert(1)></video>',
  '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
  '<form><math><mtext></form><form><mglyph><svg><mtext><style><path id="</style><img onerror=alert(1) src>">',
  '<template><script>alert(1)</script></template><slot onslotchange=alert(1)>',
  '<p is="x-evil" data-x="y" aria-label="z">x</p>',
];

describe('hostile answers', () => {
  it.each(VECTORS)('as Markdown: %s', (vector) => {
    expectHarmless(shown(vector));
    expectHarmless(shown(`- ${vector}\n\n> ${vector}\n\n|a|\n|-|\n|${vector}|`));
    expectHarmless(shown(`[x](${vector}) ![x](${vector}) \`\`\`${vector}\n${vector}`));
  });

  it.each(VECTORS)('as HTML, should the parser let it through: %s', (vector) => {
    expectHarmless(sanitise(vector));
  });

  it('as one long text', () => {
    expectHarmless(shown(HOSTILE));
    expect(shown(HOSTILE).textContent).toContain('End of the hostile answer.');
  });

  it('that only take time take little', () => {
    const pieces = [
      '*a ',
      '[a](',
      '![',
      '`',
      '$a',
      '\\(',
      '> ',
      '- ',
      '|a',
      '<a ',
      '&#',
      '**a*',
      '[a]: b\n',
      '$$',
    ];
    for (const piece of pieces) {
      const text = piece.repeat(Math.ceil(20_000 / piece.length));
      expect(
        processorTime(() => parseBlocks(text)),
        piece,
      ).toBeLessThan(1_000);
    }
  });
});
