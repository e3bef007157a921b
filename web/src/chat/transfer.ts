// Conversations as a JSON file, out and in. What comes in may have been edited by hand or by somebody else: every field
// is checked, and what does not belong is left out.
import { asArray, asNumber, asObject, asString, parseJson, type Json } from '../server/json.ts';
import {
  newId,
  NO_SETTINGS,
  type Attachment,
  type Conversation,
  type Ending,
  type Failure,
  type FailureKind,
  type Message,
  type Settings,
  type Usage,
} from './message.ts';

const FORMAT = 'tern-conversations';
const VERSION = 1;
const MAX_TITLE = 200;

export function toJson(conversations: Conversation[]): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1)}\n`;
}

const ENDINGS: readonly string[] = ['stop', 'length', 'stopped', 'failed'] satisfies Ending[];
const KINDS: readonly string[] = [
  'gone',
  'broken',
  'busy',
  'unauthorized',
  'context',
  'refused',
] satisfies FailureKind[];

function attachmentsIn(value: unknown): Attachment[] {
  const files = asArray(value).map(asObject);
  return files.map((file) => ({ name: asString(file['name']), text: asString(file['text']) }));
}

function failureIn(value: Json): Failure | undefined {
  const kind = asString(value['kind']);
  return KINDS.includes(kind) ? { kind: kind as FailureKind, words: asString(value['words']) } : undefined;
}

function usageIn(value: Json): Usage | undefined {
  const tokens = asNumber(value['tokens']);
  if (tokens === null) return undefined;
  const count = (name: string) => asNumber(value[name]) ?? 0;
  return {
    tokens,
    promptTokens: count('promptTokens'),
    cachedTokens: count('cachedTokens'),
    firstTokenMs: count('firstTokenMs'),
    generationMs: count('generationMs'),
  };
}

function messageIn(id: string, value: Json): Message | null {
  const role = value['role'];
  if (role !== 'user' && role !== 'assistant') return null;
  const ending = asString(value['ending']);
  const attachments = attachmentsIn(value['attachments']);
  const reasoning = asString(value['reasoning']);
  const thoughtMs = asNumber(value['thoughtMs']);
  const model = asString(value['model']);
  const failure = failureIn(asObject(value['failure']));
  const usage = usageIn(asObject(value['usage']));
  return {
    id,
    role,
    parent: asString(value['parent']) || null,
    content: asString(value['content']),
    created: asNumber(value['created']) ?? 0,
    ...(attachments.length > 0 ? { attachments } : {}),
    ...(reasoning ? { reasoning } : {}),
    ...(thoughtMs === null ? {} : { thoughtMs }),
    ...(model ? { model } : {}),
    ...(ENDINGS.includes(ending) ? { ending: ending as Ending } : {}),
    ...(failure ? { failure } : {}),
    ...(usage ? { usage } : {}),
  };
}

export function settingsIn(value: Json): Settings {
  const number = (name: keyof Settings) => asNumber(value[name]);
  return {
    ...NO_SETTINGS,
    system: asString(value['system']),
    temperature: number('temperature'),
    topP: number('topP'),
    topK: number('topK'),
    minP: number('minP'),
    maxTokens: number('maxTokens'),
    frequencyPenalty: number('frequencyPenalty'),
    presencePenalty: number('presencePenalty'),
    seed: number('seed'),
    stop: asArray(value['stop']).map(asString).filter(Boolean),
    reasoningEffort: asString(value['reasoningEffort']) || null,
  };
}

// A parent that is not there would be looked for among what every object has.
function messagesIn(value: Json): Record<string, Message> {
  const read = Object.entries(value).map(([id, message]) => messageIn(id, asObject(message)));
  const messages = read.filter((message) => message !== null);
  const ids = new Set(messages.map(({ id }) => id));
  const parentOf = ({ parent }: Message) => (parent !== null && ids.has(parent) ? parent : null);
  return Object.fromEntries(
    messages.map((message) => [message.id, { ...message, parent: parentOf(message) }]),
  );
}

function conversationIn(value: Json): Conversation | null {
  const messages = messagesIn(asObject(value['messages']));
  const leaf = asString(value['leaf']);
  if (!Object.hasOwn(messages, leaf)) return null;
  const now = Date.now();
  return {
    id: asString(value['id']) || newId(),
    title: asString(value['title']).slice(0, MAX_TITLE),
    created: asNumber(value['created']) ?? now,
    updated: asNumber(value['updated']) ?? now,
    model: asString(value['model']) || null,
    settings: settingsIn(asObject(value['settings'])),
    messages,
    leaf,
  };
}

// Throws an Error in words where the text is no export of this page.
export function fromJson(text: string): Conversation[] {
  const file = asObject(parseJson(text));
  if (file['format'] !== FORMAT) throw new Error('This is not a file that was exported from here.');
  if (file['version'] !== VERSION) throw new Error('This file was exported by a newer version of tern.');
  const read = asArray(file['conversations']).map((one) => conversationIn(asObject(one)));
  const conversations = read.filter((one) => one !== null);
  if (conversations.length === 0) throw new Error('There is no conversation in this file.');
  return conversations;
}
