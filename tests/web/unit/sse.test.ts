import { describe, expect, it } from 'vitest';
import { EventParser } from '../../../web/src/server/sse.ts';

const parse = (...pieces: string[]): string[] => {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
};

const STREAM =
  ': hello\r\n\r\ndata: {"a": 1}\n\nevent: x\rdata:two\r\ndata: lines\r\rid: 7\ndata\n\ndata: [DONE]\n\n';
const EVENTS = ['{"a": 1}', 'two\nlines', '', '[DONE]'];

describe('server-sent events', () => {
  it('come apart at empty lines, whatever ends a line', () => {
    expect(parse(STREAM)).toEqual(EVENTS);
  });

  it('come out the same wherever the stream is cut', () => {
    expect(parse(...STREAM)).toEqual(EVENTS);
    for (let cut = 0; cut <= STREAM.length; cut++) {
      expect(parse(STREAM.slice(0, cut), STREAM.slice(cut))).toEqual(EVENTS);
    }
  });

  it('lose one blank after the colon, and no more', () => {
    expect(parse('data:  two\n\n')).toEqual([' two']);
  });

  it('are not given out before they are complete', () => {
    expect(parse('data: half\n')).toEqual([]);
    expect(parse('data: half')).toEqual([]);
  });

  it('may not be endless', () => {
    const parser = new EventParser();
    const megabyte = 'x'.repeat(1024 * 1024);
    expect(() => {
      for (let i = 0; i < 20; i++) parser.push(i === 0 ? `data: ${megabyte}` : megabyte);
    }).toThrow('does not end');
  });
});
