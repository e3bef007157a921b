import { describe, expect, it } from 'vitest';
import { asFencedBlock, MAX_FILE_BYTES, readTextFile } from '../../../web/src/chat/attachment.ts';
import { NO_SETTINGS, type Message } from '../../../web/src/chat/message.ts';
import { chatRequest } from '../../../web/src/chat/request.ts';

function said(role: Message['role'], content: string, more: Partial<Message> = {}): Message {
  return { id: content, parent: null, created: 0, role, content, ...more };
}

describe('a request', () => {
  it('carries the path, the system prompt, and no field that is not set', () => {
    const path = [
      said('user', 'Hi'),
      said('assistant', 'Hello', { reasoning: 'greet' }),
      said('user', 'Bye'),
    ];
    expect(chatRequest(path, { ...NO_SETTINGS, system: 'Be kind.' }, 'm')).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: 'Hello' },
        { role: 'user', content: 'Bye' },
      ],
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('carries the settings under the names of the API', () => {
    const settings = {
      ...NO_SETTINGS,
      temperature: 0,
      topK: 5,
      maxTokens: 9,
      stop: ['x'],
      reasoningEffort: 'low',
    };
    expect(chatRequest([said('user', 'Hi')], settings, null)).toMatchObject({
      temperature: 0,
      top_k: 5,
      max_completion_tokens: 9,
      stop: ['x'],
      reasoning_effort: 'low',
    });
  });

  it('keeps turns alternating where an answer never came', () => {
    const path = [said('user', 'One'), said('assistant', ''), said('user', 'Two'), said('assistant', '')];
    expect(chatRequest(path, NO_SETTINGS, null).messages).toEqual([{ role: 'user', content: 'One\n\nTwo' }]);
  });

  it('asks to go on where the path ends with an answer', () => {
    const request = chatRequest([said('user', 'Hi'), said('assistant', 'Hel')], NO_SETTINGS, null);
    expect(request).toMatchObject({ continue_final_message: true, add_generation_prompt: false });
    expect(request.messages.at(-1)).toEqual({ role: 'assistant', content: 'Hel' });
  });

  it('puts files before the words', () => {
    const attachments = [{ name: 'a.py', text: 'print(1)\n' }];
    const [turn] = chatRequest([said('user', 'Why?', { attachments })], NO_SETTINGS, null).messages;
    expect(turn?.content).toBe('a.py:\n```py\nprint(1)\n```\n\nWhy?');
  });
});

describe('a file', () => {
  it('stands in a fence that its text cannot close', () => {
    expect(asFencedBlock({ name: 'x.md', text: '````\n```' })).toBe('x.md:\n`````md\n````\n```\n`````');
    expect(asFencedBlock({ name: 'no\nsuch', text: 't' })).toBe('no such:\n```\nt\n```');
  });

  it('is taken if it is text of a bounded size', async () => {
    await expect(readTextFile(new File(['häh?'], 'a.txt'))).resolves.toEqual({ name: 'a.txt', text: 'häh?' });
    const large = new File(['x'.repeat(MAX_FILE_BYTES + 1)], 'a.txt');
    await expect(readTextFile(large)).rejects.toThrow('a.txt is larger than 256 KiB.');
    const latin = new File([new Uint8Array([0x68, 0xe4])], 'b.txt');
    await expect(readTextFile(latin)).rejects.toThrow('b.txt is not a text file in UTF-8.');
    await expect(readTextFile(new File(['a\0b'], 'c.bin'))).rejects.toThrow('not a text file');
  });
});
