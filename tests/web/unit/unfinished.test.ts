import { describe, expect, it } from 'vitest';
import { processorTime } from './processor_time.ts';
import { tidyEnd } from '../../../web/src/markdown/unfinished.ts';

describe('the end of a growing answer', () => {
  it.each([
    ['A line\n--', 'A line'], // may become a rule, a heading above, a list
    ['A line\n12', 'A line'],
    ['A line\n12 men', 'A line\n12 men'],
    ['A line\n12.', 'A line'],
    ['A line\n12. men', 'A line\n12. men'],
    ['| a | b |\n|--', '| a | b |'],
    ['Text\n\n``', 'Text\n'],
    ['This is **bo', 'This is **bo**'],
    ['This is **bold** and *it', 'This is **bold** and *it*'],
    ['This is **', 'This is'],
    ['2 * 3 = 6', '2 * 3 = 6'],
    ['Call `f(', 'Call `f(`'],
    ['Call `f()` or', 'Call `f()` or'],
    ['Stars in `a**b` stay', 'Stars in `a**b` stay'],
    ['See [the pa', 'See the pa'],
    ['See [the page](https://exa', 'See the page'],
    ['See [the page](https://example.org)', 'See [the page](https://example.org)'],
    ['```c\nint *a', '```c\nint *a'],
    ['```c\nint a;\n``', '```c\nint a;'],
    ['```c\nint a;\n```', '```c\nint a;'],
    ['```c\nint a;\n```\nDone **now', '```c\nint a;\n```\nDone **now**'],
    ['$$\n\\sum', '$$\n\\sum'],
  ])('%j', (text, tidy) => {
    expect(tidyEnd(text)).toBe(tidy);
  });

  it('costs little, whatever comes', () => {
    for (const piece of ['*', '`', '[', '$', '~', '*a', '[a](', '`a', '- ', '1. ', '```\n', ' ', '> ']) {
      const text = piece.repeat(50_000);
      expect(
        processorTime(() => [tidyEnd(text), tidyEnd(`${text} end`)]),
        piece,
      ).toBeLessThan(1_000);
    }
  });
});
