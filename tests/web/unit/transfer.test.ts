import { describe, expect, it } from 'vitest';
import { newConversation, NO_SETTINGS, type Conversation } from '../../../web/src/chat/message.ts';
import { fromJson, toJson } from '../../../web/src/chat/transfer.ts';
import { withLeaf } from '../../../web/src/chat/tree.ts';

function conversation(): Conversation {
  const settings = { ...NO_SETTINGS, system: 'S', temperature: 0.5, stop: ['x'] };
  const empty = { ...newConversation(settings, 'm'), title: 'Title' };
  const asked = withLeaf(empty, {
    id: 'u',
    parent: null,
    role: 'user',
    content: 'Hi',
    created: 1,
    attachments: [{ name: 'a', text: 'b' }],
  });
  return withLeaf(asked, {
    id: 'a',
    parent: 'u',
    role: 'assistant',
    content: 'Hello',
    created: 2,
    reasoning: 'Hm',
    thoughtMs: 3,
    model: 'm',
    ending: 'failed',
    failure: { kind: 'broken', words: 'It broke.' },
    usage: { promptTokens: 1, cachedTokens: 2, tokens: 3, firstTokenMs: 4, generationMs: 5 },
  });
}

const file = (conversations: unknown, version: unknown = 1) =>
  JSON.stringify({ format: 'tern-conversations', version, conversations });

describe('conversations as a file', () => {
  it('come back as they went', () => {
    const all = [conversation(), conversation()];
    expect(fromJson(toJson(all))).toEqual(all);
  });

  it('are refused in words where the file is another one', () => {
    expect(() => fromJson('{')).toThrow('not a file that was exported from here');
    expect(() => fromJson('[]')).toThrow('not a file that was exported from here');
    expect(() => fromJson(file([], 2))).toThrow('newer version');
    expect(() => fromJson(file([]))).toThrow('no conversation');
    expect(() => fromJson(file([7, null, { messages: 'none' }, { messages: {}, leaf: 'x' }]))).toThrow(
      'no conversation',
    );
  });

  it('lose what does not belong', () => {
    const messages = { u: { role: 'user', content: ['x'], parent: 3, evil: 1 }, s: { role: 'system' } };
    const [read] = fromJson(
      file([{ id: 5, title: 7, leaf: 'u', messages, settings: { temperature: 'hot' } }]),
    );
    expect(read?.messages).toEqual({ u: { id: 'u', role: 'user', parent: null, content: '', created: 0 } });
    expect(read?.settings).toEqual(NO_SETTINGS);
    expect(read?.id).toMatch(/^[0-9a-f]{24}$/);
    expect(read?.title).toBe('');
  });

  it('cannot reach what every object has', () => {
    const messages = { u: { role: 'user', parent: 'constructor' }, v: { role: 'user', parent: 'u' } };
    const [read] = fromJson(file([{ leaf: 'v', messages }]));
    expect(read?.messages['u']?.parent).toBeNull();
    expect(read?.messages['v']?.parent).toBe('u');
    expect(() => fromJson(file([{ leaf: 'toString', messages }]))).toThrow('no conversation');
    const text = file([{ leaf: 'u', messages }]).replace('"v"', '"__proto__"');
    expect(Object.keys(fromJson(text)[0]?.messages ?? {})).toEqual(['u', '__proto__']);
    expect(Object.getPrototypeOf(fromJson(text)[0]?.messages)).toBe(Object.prototype);
  });
});
