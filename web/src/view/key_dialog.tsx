import { useSignal } from '@preact/signals';
import { askForModels, wantsKey } from '../state/server.ts';
import { apiKey } from '../storage/preferences.ts';
import { Dialog } from './dialog.tsx';

export function KeyDialog() {
  const key = useSignal('');
  const refused = useSignal(apiKey.value !== '');
  const send = async (event: Event) => {
    event.preventDefault();
    apiKey.value = key.value.trim();
    await askForModels();
    refused.value = wantsKey.value;
  };
  return (
    <Dialog title="API key" onClose={() => (wantsKey.value = false)}>
      <form class="key-form" onSubmit={(event) => void send(event)}>
        <p>
          This server was started with an API key. Enter it to talk to the model; it stays in this browser.
        </p>
        <label class="field wide">
          <span>Key</span>
          <input
            type="password"
            autoComplete="off"
            value={key}
            onInput={(event) => (key.value = event.currentTarget.value)}
          />
        </label>
        {refused.value && (
          <p class="wrong" role="alert">
            The server did not accept this key.
          </p>
        )}
        <button type="submit" class="primary" disabled={!key.value.trim()}>
          Use this key
        </button>
      </form>
    </Dialog>
  );
}
