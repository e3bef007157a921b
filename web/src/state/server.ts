// What is known of the server: its models, and how much the chosen one can hold.
import { computed, effect, signal } from '@preact/signals';
import { failureOf } from '../server/failure.ts';
import { fetchContextLength, fetchModels } from '../server/client.ts';
import { apiKey } from '../storage/preferences.ts';
import { shown } from './conversations.ts';

export const models = signal<readonly string[]>([]);
export const contextLength = signal<number | null>(null);
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

// A server without /props is a server without a context meter.
async function askForContextLength(name: string | null): Promise<void> {
  const length = await fetchContextLength(apiKey.value, name).catch(() => null);
  if (model.peek() === name) contextLength.value = length;
}

export function watchServer(): void {
  void askForModels();
  effect(() => {
    if (model.value) void askForContextLength(model.value);
  });
}
