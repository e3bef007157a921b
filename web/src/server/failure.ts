// What can go wrong between page and server, in words for people.
import type { Failure, FailureKind } from '../chat/message.ts';
import { asObject, asString, parseJson } from './json.ts';

export class ServerError extends Error {
  readonly kind: FailureKind;
  readonly retryAfterMs: number | null; // when the server says that it may be asked again

  constructor(kind: FailureKind, words: string, retryAfterMs: number | null = null) {
    super(words);
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}

const GONE = 'The server does not answer. Is tern still running?';
const BROKEN = 'The connection broke off before the answer was complete.';
const UNAUTHORIZED = 'The server wants an API key.';
const DEFAULT_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 120_000;

export const goneError = (): ServerError => new ServerError('gone', GONE);
export const brokenError = (): ServerError => new ServerError('broken', BROKEN);

function kindOf(status: number, code: string, message: string): FailureKind {
  if (status === 401) return 'unauthorized';
  if (status === 429 || status === 503) return 'busy';
  if (code === 'context_length_exceeded' || /\bcontext\b/i.test(message)) return 'context';
  return 'refused';
}

function wordsOf(kind: FailureKind, status: number, message: string): string {
  switch (kind) {
    case 'unauthorized':
      return UNAUTHORIZED;
    case 'busy':
      return 'The server is busy.';
    case 'context':
      return `The conversation no longer fits into the model's context. ${message}`.trim();
    default:
      return message || `The server answered with status ${status}.`;
  }
}

function retryAfter(header: string | null): number {
  const seconds = Number(header ?? Number.NaN);
  return seconds >= 0 ? Math.min(seconds * 1000, LONGEST_WAIT_MS) : DEFAULT_WAIT_MS;
}

// `body` is OpenAI's {"error": {"message", "code", ...}}, or whatever a proxy puts in its place.
export function errorOfBody(status: number, body: unknown, retryHeader: string | null = null): ServerError {
  const error = asObject(asObject(body)['error']);
  const message = asString(error['message']);
  const kind = kindOf(status, asString(error['code']) || asString(error['type']), message);
  return new ServerError(
    kind,
    wordsOf(kind, status, message),
    kind === 'busy' ? retryAfter(retryHeader) : null,
  );
}

export async function errorOfResponse(response: Response): Promise<ServerError> {
  const text = await response.text().catch(() => '');
  return errorOfBody(response.status, parseJson(text), response.headers.get('retry-after'));
}

export function failureOf(error: unknown): Failure {
  if (error instanceof ServerError) return { kind: error.kind, words: error.message };
  return { kind: 'refused', words: error instanceof Error ? error.message : String(error) };
}
