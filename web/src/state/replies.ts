// Answers on their way: asking, streaming into the conversation, stopping, waiting where the server is busy.
import { signal, type Signal } from '@preact/signals';
import { newId, titleFrom, type Attachment, type Message, type Usage } from '../chat/message.ts';
import { chatRequest } from '../chat/request.ts';
import { ThinkingSplitter } from '../chat/thinking.ts';
import { pathOf, withLeaf, withMessage } from '../chat/tree.ts';
import { streamChat, type ChatChunk, type TokenCounts } from '../server/client.ts';
import { brokenError, failureOf, ServerError } from '../server/failure.ts';
import { apiKey } from '../storage/preferences.ts';
import { conversation, put, shown } from './conversations.ts';
import { spoken } from './notices.ts';
import { askForFacts, askForModels, facts, isGone, model, wantsKey } from './server.ts';

const SHOW_EVERY_MS = 30; // a fast model's tokens come more often than a screen can show
const SAVE_EVERY_MS = 2_000;
const MAX_TRIES = 8; // at a busy server

export interface Reply {
  id: string; // the message's
  message: Signal<Message>; // as far as it has come; in the conversation it is kept now and then
  began: number;
  tokens: Signal<number>; // as counted here; the server's own count comes at the end
  speed: Signal<number>; // tokens a second, by the clock here
  retryAt: Signal<number | null>; // while a busy server is given time
  hurry: () => void; // ends that wait
  abort: AbortController;
}

const running = signal<ReadonlyMap<string, Reply>>(new Map()); // by conversation

export const replyIn = (conversationId: string): Reply | undefined => running.value.get(conversationId);

function setRunning(conversationId: string, reply: Reply | null): void {
  const next = new Map(running.value);
  if (reply) next.set(conversationId, reply);
  else next.delete(conversationId);
  running.value = next;
}

// What the stream adds up to. Times are taken here: the server's counts say how much, not how fast it felt.
class Intake {
  readonly #splitter = new ThinkingSplitter();
  readonly #reply: Reply;
  readonly #began = performance.now();
  #message: Message;
  #first = 0;
  #last = 0;
  #saved = performance.now();
  #tokens = 0;
  #counts: TokenCounts | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(reply: Reply) {
    this.#reply = reply;
    this.#message = reply.message.value;
  }

  take(chunk: ChatChunk): void {
    const now = performance.now();
    if (chunk.content || chunk.reasoning) {
      this.#first ||= now;
      this.#last = now;
      this.#tokens++;
    }
    this.#counts = chunk.counts ?? this.#counts;
    const { content, reasoning } = this.#splitter.push(chunk.content);
    this.#add(content, chunk.reasoning + reasoning);
    if (chunk.finish) this.#change({ ending: chunk.finish === 'length' ? 'length' : 'stop' });
  }

  finish(): void {
    const { content, reasoning } = this.#splitter.finish();
    this.#add(content, reasoning);
    if (this.#first > 0) this.#change({ usage: this.#usage() });
    this.#show();
  }

  dueForSaving(): boolean {
    const now = performance.now();
    if (now - this.#saved < SAVE_EVERY_MS) return false;
    this.#saved = now;
    return true;
  }

  #usage(): Usage {
    const counts = this.#counts ?? { tokens: this.#tokens, promptTokens: 0, cachedTokens: 0 };
    const firstTokenMs = Math.round(this.#first - this.#began);
    return { ...counts, firstTokenMs, generationMs: Math.round(this.#last - this.#first) };
  }

  #add(content: string, reasoning: string): void {
    if (!content && !reasoning) return;
    const old = this.#message;
    const thinks = reasoning !== '' || (old.reasoning !== undefined && old.content === '');
    this.#change({
      content: old.content + content,
      ...(reasoning ? { reasoning: (old.reasoning ?? '') + reasoning } : {}),
      ...(thinks ? { thoughtMs: Math.round(performance.now() - this.#first) } : {}),
    });
  }

  #change(change: Partial<Message>): void {
    this.#message = { ...this.#message, ...change };
    this.#timer ??= setTimeout(() => this.#show(), SHOW_EVERY_MS);
  }

  #show(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#reply.message.value = this.#message;
    this.#reply.tokens.value = this.#tokens;
    const time = this.#last - this.#first;
    if (time > 0) this.#reply.speed.value = ((this.#tokens - 1) * 1000) / time;
  }
}

function keep(id: string, message: Message): void {
  const now = conversation(id);
  if (now) put(withMessage(now, message));
}

// What has come is kept at once: the conversation may be deleted the next moment, and brought back.
export function stop(conversationId: string): void {
  const reply = replyIn(conversationId);
  if (!reply) return;
  keep(conversationId, { ...reply.message.value, ending: 'stopped' });
  reply.abort.abort();
}

async function receive(id: string, reply: Reply, path: Message[]): Promise<void> {
  const { settings } = conversation(id) ?? shown.value;
  const intake = new Intake(reply);
  try {
    const request = chatRequest(path, settings, reply.message.value.model ?? null);
    for await (const chunk of streamChat(request, apiKey.value, reply.abort.signal)) {
      intake.take(chunk);
      if (intake.dueForSaving()) keep(id, unfinished(reply.message.value));
    }
  } finally {
    intake.finish();
  }
}

// What a saved answer says of itself if the page is closed before it is complete.
const interrupted = failureOf(brokenError());
const unfinished = (message: Message): Message => ({ ...message, ending: 'failed', failure: interrupted });

function wait(reply: Reply, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      reply.retryAt.value = null;
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    reply.retryAt.value = Date.now() + milliseconds;
    reply.hurry = done;
    reply.abort.signal.addEventListener('abort', done, { once: true });
  });
}

async function receivePatiently(id: string, reply: Reply, path: Message[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await receive(id, reply, path);
      return;
    } catch (error) {
      const waits = error instanceof ServerError && error.retryAfterMs !== null && tries < MAX_TRIES;
      if (!waits || reply.message.value.content !== '') throw error;
      await wait(reply, error.retryAfterMs ?? 0);
      reply.abort.signal.throwIfAborted();
    }
  }
}

function noteFailure(reply: Reply, error: unknown): void {
  if (reply.abort.signal.aborted) {
    reply.message.value = { ...reply.message.value, ending: 'stopped' };
    spoken.value = 'Stopped';
    return;
  }
  const failure = failureOf(error);
  reply.message.value = { ...reply.message.value, ending: 'failed', failure };
  if (failure.kind === 'unauthorized') wantsKey.value = true;
  if (failure.kind === 'gone') isGone.value = true;
  spoken.value = failure.words;
}

// Streams an answer into `message`, which ends the path on the screen.
async function run(id: string, message: Message): Promise<void> {
  const old = conversation(id);
  if (!old || replyIn(id)) return;
  const started = withLeaf(old, unfinished(message));
  put(started);
  const reply: Reply = {
    id: message.id,
    message: signal(message),
    began: Date.now(),
    tokens: signal(0),
    speed: signal(0),
    retryAt: signal(null),
    hurry: () => undefined,
    abort: new AbortController(),
  };
  setRunning(id, reply);
  spoken.value = 'Answering';
  try {
    await receivePatiently(id, reply, pathOf(started));
    spoken.value = 'The answer is complete';
    if (isGone.value) void askForModels();
    if (!facts.value?.contextLength) void askForFacts();
  } catch (error) {
    noteFailure(reply, error);
  }
  keep(id, reply.message.value);
  setRunning(id, null);
}

function emptyAnswer(parent: string): Message {
  const name = model.value;
  const blank: Message = { id: newId(), parent, role: 'assistant', content: '', created: Date.now() };
  return name ? { ...blank, model: name } : blank;
}

// Says something in the conversation on the screen, after `parent`, and asks for the answer.
export function say(
  content: string,
  attachments: Attachment[],
  parent: string | null = shown.value.leaf,
): void {
  const old = shown.value;
  if (replyIn(old.id)) return;
  const message: Message = { id: newId(), parent, role: 'user', content, created: Date.now() };
  if (attachments.length > 0) message.attachments = attachments;
  const title = old.title || titleFrom(content) || attachments[0]?.name || 'New chat';
  put(withLeaf({ ...old, title }, message));
  void run(old.id, emptyAnswer(message.id));
}

// Another answer to the same question; one that never came is not kept.
export function regenerate(message: Message): void {
  if (message.parent === null) return;
  const fresh = emptyAnswer(message.parent);
  void run(shown.value.id, message.content || message.reasoning ? fresh : { ...fresh, id: message.id });
}

// Goes on where an answer broke off, or was stopped. A model that had not yet begun to answer begins anew.
export function continueAnswer(message: Message): void {
  const { ending: _ending, failure: _failure, usage: _usage, ...begun } = message;
  if (message.content) void run(shown.value.id, begun);
  else regenerate(message);
}
