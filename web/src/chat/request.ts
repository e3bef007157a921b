// The body of a request: a conversation's path in the words of the OpenAI API.
import { asFencedBlock } from './attachment.ts';
import type { Message, Settings } from './message.ts';

export interface RequestMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
  reasoning_content?: string;
}

export interface ChatRequest {
  messages: RequestMessage[];
  stream: true;
  stream_options: { include_usage: true };
  model?: string;
  [parameter: string]: unknown;
}

function textOf(message: Message): string {
  const files = (message.attachments ?? []).map(asFencedBlock);
  return [...files, message.content].filter((part) => part !== '').join('\n\n');
}

// Chat templates want turns that alternate: answers that never came are left out, and the questions around them joined.
function turnsOf(path: Message[]): RequestMessage[] {
  const turns: RequestMessage[] = [];
  for (const message of path) {
    const content = textOf(message);
    const last = turns.at(-1);
    if (message.role === 'assistant' && content === '') continue;
    if (last?.role === message.role) last.content += `\n\n${content}`;
    else turns.push({ role: message.role, content });
  }
  return turns;
}

function samplingOf(settings: Settings): Record<string, unknown> {
  const fields = {
    temperature: settings.temperature,
    top_p: settings.topP,
    top_k: settings.topK,
    min_p: settings.minP,
    max_completion_tokens: settings.maxTokens,
    frequency_penalty: settings.frequencyPenalty,
    presence_penalty: settings.presencePenalty,
    seed: settings.seed,
    stop: settings.stop.length > 0 ? settings.stop : null,
    reasoning_effort: settings.reasoningEffort,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

// A path that ends with an assistant's message asks for its continuation; the two fields are vLLM's.
export function chatRequest(path: Message[], settings: Settings, model: string | null): ChatRequest {
  const system: RequestMessage[] = settings.system.trim()
    ? [{ role: 'system', content: settings.system }]
    : [];
  const messages = [...system, ...turnsOf(path)];
  const last = messages.at(-1);
  const continues = last?.role === 'assistant';
  const reasoning = path.at(-1)?.reasoning;
  if (continues && reasoning) last.reasoning_content = reasoning;
  return {
    ...(model ? { model } : {}),
    messages,
    stream: true,
    stream_options: { include_usage: true },
    ...samplingOf(settings),
    ...(continues ? { continue_final_message: true, add_generation_prompt: false } : {}),
  };
}
