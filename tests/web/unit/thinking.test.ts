import { describe, expect, it } from 'vitest';
import { ThinkingSplitter } from '../../../web/src/chat/thinking.ts';

function split(pieces: Iterable<string>): [reasoning: string, content: string] {
  const splitter = new ThinkingSplitter();
  const parts = [...pieces].map((piece) => splitter.push(piece));
  parts.push(splitter.finish());
  return [parts.map((part) => part.reasoning).join(''), parts.map((part) => part.content).join('')];
}

describe('thinking within an answer', () => {
  it.each([
    ['<think>\nHm. 1 < 2\n</think>\n\nYes.', 'Hm. 1 < 2\n', 'Yes.'],
    ['  <think>a</think>b</think>', 'a', 'b</think>'],
    ['No thoughts, <think>this is none</think>.', '', 'No thoughts, <think>this is none</think>.'],
    ['<thing>', '', '<thing>'],
    ['<think>never done </thi', 'never done </thi', ''],
    ['<thi', '', '<thi'],
    ['', '', ''],
  ])('%j', (text, reasoning, content) => {
    expect(split([text])).toEqual([reasoning, content]);
    expect(split(text)).toEqual([reasoning, content]); // a character at a time
  });

  it('holds back no more than what may be a mark', () => {
    const splitter = new ThinkingSplitter();
    expect(splitter.push('<think>Well, ').reasoning).toBe('Well, ');
    expect(splitter.push('so </th').reasoning).toBe('so ');
    expect(splitter.push('at.').reasoning).toBe('</that.');
  });
});
