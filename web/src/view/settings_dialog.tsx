import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { Settings } from '../chat/message.ts';
import { toJson } from '../chat/transfer.ts';
import { bringIn, isDraft, list, setSettings, shown } from '../state/conversations.ts';
import { asNumber } from '../server/json.ts';
import { askForModels, facts } from '../state/server.ts';
import { apiKey, defaults } from '../storage/preferences.ts';
import { Dialog } from './dialog.tsx';
import { settingsOpen } from './intent.ts';

type NumberName = { [K in keyof Settings]: Settings[K] extends number | null ? K : never }[keyof Settings];

interface NumberField {
  name: NumberName;
  api?: string; // its name among the server's defaults
  label: string;
  hint: string;
  min: number;
  max: number;
  step: number;
}

const NUMBERS: NumberField[] = [
  {
    name: 'temperature',
    api: 'temperature',
    label: 'Temperature',
    hint: '0: always the likeliest',
    min: 0,
    max: 2,
    step: 0.05,
  },
  { name: 'topP', api: 'top_p', label: 'Top p', hint: '0 to 1', min: 0, max: 1, step: 0.01 },
  { name: 'topK', api: 'top_k', label: 'Top k', hint: 'how many candidates', min: 0, max: 1000, step: 1 },
  { name: 'minP', api: 'min_p', label: 'Min p', hint: '0 to 1', min: 0, max: 1, step: 0.01 },
  { name: 'maxTokens', label: 'Longest answer', hint: 'in tokens', min: 1, max: 1_000_000, step: 1 },
  { name: 'seed', label: 'Seed', hint: 'same seed, same answer', min: 0, max: 4_294_967_295, step: 1 },
  { name: 'frequencyPenalty', label: 'Frequency penalty', hint: '-2 to 2', min: -2, max: 2, step: 0.1 },
  { name: 'presencePenalty', label: 'Presence penalty', hint: '-2 to 2', min: -2, max: 2, step: 0.1 },
];

interface Editing {
  settings: Settings;
  onChange: (settings: Settings) => void;
}

function placeholderOf({ api = '' }: NumberField): string {
  const value = asNumber(facts.value?.sampling[api]);
  return value === null ? 'default' : String(Number(value.toPrecision(4)));
}

function NumberInput({ field, settings, onChange }: Editing & { field: NumberField }) {
  const { name, label, hint, min, max, step } = field;
  const change = (event: { currentTarget: HTMLInputElement }) => {
    const { value, valueAsNumber } = event.currentTarget;
    const number = Math.min(max, Math.max(min, valueAsNumber));
    onChange({ ...settings, [name]: value === '' || Number.isNaN(number) ? null : number });
  };
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="number"
        inputMode="decimal"
        placeholder={placeholderOf(field)}
        {...{ min, max, step }}
        value={settings[name] ?? ''}
        onChange={change}
      />
      <small>{hint}</small>
    </label>
  );
}

const EFFORTS = ['none', 'low', 'medium', 'high'];

function EffortSelect({ settings, onChange }: Editing) {
  return (
    <label class="field">
      <span>Thinking</span>
      <select
        value={settings.reasoningEffort ?? ''}
        onChange={(event) => onChange({ ...settings, reasoningEffort: event.currentTarget.value || null })}
      >
        <option value="">default</option>
        {EFFORTS.map((effort) => (
          <option key={effort}>{effort}</option>
        ))}
      </select>
      <small>if the model can</small>
    </label>
  );
}

function SettingsForm({ settings, onChange }: Editing) {
  const stops = settings.stop.join('\n');
  const setStops = (text: string) =>
    onChange({ ...settings, stop: text.split('\n').filter(Boolean).slice(0, 4) });
  return (
    <>
      <label class="field wide">
        <span>System prompt</span>
        <textarea
          rows={4}
          placeholder="Who the model is to be, and how it is to answer"
          value={settings.system}
          onInput={(event) => onChange({ ...settings, system: event.currentTarget.value })}
        />
      </label>
      <div class="fields">
        {NUMBERS.map((field) => (
          <NumberInput key={field.name} field={field} settings={settings} onChange={onChange} />
        ))}
        {facts.value?.thinks !== false && <EffortSelect settings={settings} onChange={onChange} />}
        <label class="field">
          <span>Stop at</span>
          <textarea rows={1} value={stops} onChange={(event) => setStops(event.currentTarget.value)} />
          <small>one a line</small>
        </label>
      </div>
    </>
  );
}

function download(name: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

const today = (): string => new Date().toISOString().slice(0, 10);

// Returns what came of it, in words.
async function importFile(file: File): Promise<string> {
  try {
    const count = bringIn(await file.text());
    return count === 1 ? 'One conversation came in.' : `${count} conversations came in.`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function Data() {
  const input = useRef<HTMLInputElement>(null);
  const empty = list.value.length === 0;
  const outcome = useSignal(''); // here and not in a notice, which would lie behind the dialog
  const onChange = async () => {
    const file = input.current?.files?.[0];
    if (!file) return;
    outcome.value = '';
    outcome.value = await importFile(file);
    if (input.current) input.current.value = ''; // the same file may be chosen again
  };
  return (
    <div class="data">
      <p class="quiet">Conversations are kept in this browser and nowhere else.</p>
      <div class="data-buttons">
        <button
          type="button"
          class="plain"
          disabled={isDraft.value}
          onClick={() => download(`tern-chat-${today()}.json`, toJson([shown.value]))}
        >
          Export this chat
        </button>
        <button
          type="button"
          class="plain"
          disabled={empty}
          onClick={() => download(`tern-chats-${today()}.json`, toJson(list.value))}
        >
          Export all
        </button>
        <button type="button" class="plain" onClick={() => input.current?.click()}>
          Import…
        </button>
        <input
          ref={input}
          type="file"
          accept=".json,application/json"
          hidden
          aria-label="File to import"
          onChange={() => void onChange()}
        />
      </div>
      <p role="status">{outcome}</p>
      <label class="field wide">
        <span>API key</span>
        <input
          type="password"
          autoComplete="off"
          value={apiKey}
          onChange={(event) => {
            apiKey.value = event.currentTarget.value.trim();
            void askForModels();
          }}
        />
        <small>only for a server that was started with one</small>
      </label>
    </div>
  );
}

const TABS = ['This chat', 'New chats', 'Data'] as const;

export function SettingsDialog() {
  const tab = useSignal<(typeof TABS)[number]>('This chat');
  return (
    <Dialog title="Settings" onClose={() => (settingsOpen.value = false)}>
      <div class="tabs" role="group" aria-label="Settings of">
        {TABS.map((name) => (
          <button
            type="button"
            key={name}
            aria-pressed={tab.value === name}
            onClick={() => (tab.value = name)}
          >
            {name}
          </button>
        ))}
      </div>
      {tab.value === 'This chat' && <SettingsForm settings={shown.value.settings} onChange={setSettings} />}
      {tab.value === 'New chats' && (
        <SettingsForm settings={defaults.value} onChange={(settings) => (defaults.value = settings)} />
      )}
      {tab.value === 'Data' && <Data />}
    </Dialog>
  );
}
