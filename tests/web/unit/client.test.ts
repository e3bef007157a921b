import { afterEach, describe, expect, it, vi } from 'vitest';
import { NO_SETTINGS } from '../../../web/src/chat/message.ts';
import { chatRequest } from '../../../web/src/chat/request.ts';
import { fetchModels, streamChat, type ChatChunk } from '../../../web/src/server/client.ts';
import { errorOfBody } from '../../../web/src/server/failure.ts';

afterEach(() => vi.unstubAllGlobals());

const answer = (body: BodyInit | null, init?: ResponseInit) =>
  vi.stubGlobal('fetch', async () => new Response(body, init));

async function stream(): Promise<ChatChunk[]> {
  const chunks: ChatChunk[] = [];
  const request = chatRequest([], NO_SETTINGS, null);
  for await (const chunk of streamChat(request, '', new AbortController().signal)) chunks.push(chunk);
  return chunks;
}

const DELTA =
  'data: {"choices":[{"delta":{"content":"Hi","reasoning_content":"so"},"finish_reason":null}]}\n\n';
const END = 'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n';
const USAGE =
  'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":3}}}\n\n';

describe('a streamed answer', () => {
  it('is words, thoughts, an ending and counts', async () => {
    answer(`${DELTA}${END}${USAGE}data: [DONE]\n\n`);
    const [first, last, usage] = await stream();
    expect(first).toEqual({ content: 'Hi', reasoning: 'so', finish: null, counts: null });
    expect(last?.finish).toBe('length');
    expect(usage?.counts).toEqual({ promptTokens: 5, tokens: 2, cachedTokens: 3 });
  });

  it('that ends too early is broken', async () => {
    answer(DELTA);
    await expect(stream()).rejects.toMatchObject({ kind: 'broken' });
  });

  it('that ends without [DONE], but ends, is complete', async () => {
    answer(DELTA + END);
    await expect(stream()).resolves.toHaveLength(2);
  });

  it('may fail on the way', async () => {
    answer(`${DELTA}data: {"error":{"message":"No memory.","code":500}}\n\n`);
    await expect(stream()).rejects.toMatchObject({ kind: 'refused', message: 'No memory.' });
  });

  it('that is not JSON does no harm', async () => {
    answer(`data: nonsense\n\ndata: {"choices":{"0":7}}\n\n${END}`);
    await expect(stream()).resolves.toHaveLength(3);
  });
});

describe('what goes wrong', () => {
  it.each([
    [401, {}, 'unauthorized', 'The server wants an API key.'],
    [429, { error: { message: 'Full.' } }, 'busy', 'The server is busy.'],
    [
      400,
      { error: { message: 'Too long.', code: 'context_length_exceeded' } },
      'context',
      /no longer fits.*Too long\.$/,
    ],
    [400, { error: { message: 'temperature is 3' } }, 'refused', 'temperature is 3'],
    [502, undefined, 'refused', 'The server answered with status 502.'],
    [500, { error: 'words' }, 'refused', 'The server answered with status 500.'],
  ])('status %i is put in words', (status, body, kind, words) => {
    const error = errorOfBody(status, body);
    expect(error.kind).toBe(kind);
    expect(error.message).toMatch(words);
  });

  it('a busy server says when to come again', () => {
    expect(errorOfBody(429, {}, '7').retryAfterMs).toBe(7_000);
    expect(errorOfBody(429, {}, '1e9').retryAfterMs).toBe(120_000);
    expect(errorOfBody(429, {}, 'soon').retryAfterMs).toBe(2_000);
    expect(errorOfBody(500, {}, '7').retryAfterMs).toBeNull();
  });

  it('a server that is not there is gone', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    await expect(fetchModels('')).rejects.toMatchObject({ kind: 'gone' });
  });
});

describe('the key', () => {
  it('goes with each request, and only if there is one', async () => {
    const fetched = vi.fn(
      async (_path: string, _init: RequestInit) => new Response('{"data":[{"id":"m"},{"id":7}]}'),
    );
    vi.stubGlobal('fetch', fetched);
    await expect(fetchModels('secret')).resolves.toEqual(['m']);
    await fetchModels('');
    const sent = fetched.mock.calls.map(([, init]) => new Headers(init.headers).get('Authorization'));
    expect(sent).toEqual(['Bearer secret', null]);
  });
});
