// What is known of the server: its models, and what the chosen one can do.
import { computed, effect, signal } from '@preact/signals';
import { failureOf } from '../server/failure.ts';
import { fetchFacts, fetchModels, type ServerFacts } from '../server/client.ts';
import { apiKey } from '../storage/preferences.ts';
import { shown } from './conversations.ts';

export const models = signal<readonly string[]>([]);
export const facts = signal<ServerFacts | null>(null);
export const wantsKey = signal(false);
export const isGone = signal(false);

// The conversation's own model while the server has it, else the server's first.
export const model = computed(() => {
  const own = shown.value.model;
  return own !== null && models.value.includes(own) ? own : (models.value[0] ?? own);
});

export async function askForModels(): Promise<void> {
  try {
    models.value = await fetchModels(apiKey.value);
    isGone.value = false;
    wantsKey.value = false;
  } catch (error) {
    const { kind } = failureOf(error);
    wantsKey.value = kind === 'unauthorized';
    isGone.value = kind === 'gone';
  }
}

// A server without /props is a server without a context meter; one that has not loaded the model yet says it later.
export async function askForFacts(): Promise<void> {
  const name = model.peek();
  if (name === null) return;
  const answer = await fetchFacts(apiKey.peek(), name).catch(() => null);
  if (model.peek() === name) facts.value = answer;
}

export function watchServer(): void {
  void askForModels();
  effect(() => {
    if (model.value) void askForFacts();
  });
}
