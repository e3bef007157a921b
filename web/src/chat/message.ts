// What a conversation is: a tree of messages, of which one path, from the root to `leaf`, is on the screen.

export interface Attachment {
  name: string;
  text: string;
}

export interface Usage {
  promptTokens: number;
  cachedTokens: number;
  tokens: number;
  firstTokenMs: number; // from sending to the first token
  generationMs: number; // from the first token to the last
}

export type FailureKind = 'gone' | 'broken' | 'busy' | 'unauthorized' | 'context' | 'refused';

export interface Failure {
  kind: FailureKind;
  words: string;
}

// How an answer ended: as the model wished, at its length limit, by the stop button, or by a failure.
export type Ending = 'stop' | 'length' | 'stopped' | 'failed';

export interface Message {
  id: string;
  parent: string | null;
  role: 'user' | 'assistant';
  content: string;
  created: number; // ms since 1970
  attachments?: Attachment[];
  reasoning?: string;
  thoughtMs?: number;
  model?: string;
  ending?: Ending;
  failure?: Failure;
  usage?: Usage;
}

// null: the server's default, and the field is not sent.
export interface Settings {
  system: string;
  temperature: number | null;
  topP: number | null;
  topK: number | null;
  minP: number | null;
  maxTokens: number | null;
  frequencyPenalty: number | null;
  presencePenalty: number | null;
  seed: number | null;
  stop: string[];
  reasoningEffort: string | null;
}

export interface Conversation {
  id: string;
  title: string;
  created: number;
  updated: number;
  model: string | null; // null: the server's first
  settings: Settings;
  messages: Record<string, Message>;
  leaf: string | null;
}

export const NO_SETTINGS: Settings = {
  system: '',
  temperature: null,
  topP: null,
  topK: null,
  minP: null,
  maxTokens: null,
  frequencyPenalty: null,
  presencePenalty: null,
  seed: null,
  stop: [],
  reasoningEffort: null,
};

// crypto.randomUUID is there on https and localhost only; the page is also used over plain http in a local network.
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function newConversation(settings: Settings, model: string | null): Conversation {
  const now = Date.now();
  return { id: newId(), title: '', created: now, updated: now, model, settings, messages: {}, leaf: null };
}

const TITLE_LENGTH = 60;

// A conversation is called after its first words until somebody gives it a name.
export function titleFrom(text: string): string {
  const words = text.replaceAll(/\s+/g, ' ').trim();
  if (words.length <= TITLE_LENGTH) return words;
  const cut = words.slice(0, TITLE_LENGTH);
  const blank = cut.lastIndexOf(' ');
  return `${blank > TITLE_LENGTH / 2 ? cut.slice(0, blank) : cut}…`;
}
