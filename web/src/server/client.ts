// The requests that the page makes. All addresses are relative to the page's own.
import type { ChatRequest } from '../chat/request.ts';
import { brokenError, errorOfBody, errorOfResponse, goneError } from './failure.ts';
import { asArray, asNumber, asObject, asString, parseJson, type Json } from './json.ts';
import { EventParser } from './sse.ts';

export interface TokenCounts {
  promptTokens: number;
  cachedTokens: number;
  tokens: number;
}

export interface ChatChunk {
  content: string;
  reasoning: string;
  finish: string | null;
  counts: TokenCounts | null;
}

async function request(path: string, key: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (key) headers.set('Authorization', `Bearer ${key}`);
  let response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw goneError();
  }
  if (!response.ok) throw await errorOfResponse(response);
  return response;
}

const getJson = async (path: string, key: string): Promise<Json> =>
  asObject(parseJson(await (await request(path, key)).text()));

export async function fetchModels(key: string): Promise<string[]> {
  const answer = await getJson('v1/models', key);
  return asArray(answer['data'])
    .map((model) => asString(asObject(model)['id']))
    .filter((id) => id !== '');
}

// What a server says of itself and of one of its models; null where it does not.
export interface ServerFacts {
  contextLength: number | null; // tokens
  thinks: boolean | null;
  sampling: Json; // the settings of requests that name none, under the API's names
}

export async function fetchFacts(key: string, model: string): Promise<ServerFacts> {
  const props = await getJson(`props?model=${encodeURIComponent(model)}`, key);
  const sampling = asObject(props['default_generation_settings']);
  const about = asArray(props['models'])
    .map(asObject)
    .find(({ id }) => id === model);
  const thinks = asObject(about?.['abilities'])['thinking'];
  return {
    contextLength: asNumber(sampling['n_ctx']) ?? asNumber(props['n_ctx']),
    thinks: typeof thinks === 'boolean' ? thinks : null,
    sampling,
  };
}

function countsOf(usage: Json): TokenCounts | null {
  const tokens = asNumber(usage['completion_tokens']);
  if (tokens === null) return null;
  const cached = asNumber(asObject(usage['prompt_tokens_details'])['cached_tokens']);
  return { tokens, promptTokens: asNumber(usage['prompt_tokens']) ?? 0, cachedTokens: cached ?? 0 };
}

function chunkOf(data: string): ChatChunk {
  const event = asObject(parseJson(data));
  if ('error' in event) throw errorOfBody(asNumber(asObject(event['error'])['code']) ?? 500, event);
  const choice = asObject(asArray(event['choices'])[0]);
  const delta = asObject(choice['delta']);
  return {
    content: asString(delta['content']),
    reasoning: asString(delta['reasoning_content']),
    finish: asString(choice['finish_reason']) || null,
    counts: countsOf(asObject(event['usage'])),
  };
}

async function* eventsOf(response: Response, signal: AbortSignal): AsyncGenerator<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) throw brokenError();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } catch (error) {
    throw signal.aborted ? error : brokenError();
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

// Sends the conversation and yields the answer as it comes. Throws a ServerError, also when the stream ends before the
// answer does; what abort() throws goes through as it is.
export async function* streamChat(
  body: ChatRequest,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<ChatChunk> {
  const response = await request('v1/chat/completions', key, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
  let finished = false;
  for await (const data of eventsOf(response, signal)) {
    if (data === '[DONE]') return;
    const chunk = chunkOf(data);
    finished ||= chunk.finish !== null;
    yield chunk;
  }
  if (!finished) throw brokenError();
}
