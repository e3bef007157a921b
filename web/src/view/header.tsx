import { isDraft, setModel, shown, startNew } from '../state/conversations.ts';
import { askForModels, isGone, model, models } from '../state/server.ts';
import { IconButton } from './icon.tsx';
import { drawerOpen, settingsOpen } from './intent.ts';

function ModelPicker() {
  const names = models.value;
  if (names.length === 0) return null;
  if (names.length === 1) {
    return (
      <span class="model" title="The model that answers">
        {names[0]}
      </span>
    );
  }
  return (
    <select
      class="model"
      aria-label="Model"
      value={model.value ?? ''}
      onChange={(event) => setModel(event.currentTarget.value)}
    >
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Gone() {
  return (
    <div class="banner" role="alert">
      The server does not answer. Is tern still running?
      <button type="button" class="plain" onClick={() => void askForModels()}>
        Try again
      </button>
    </div>
  );
}

export function Header() {
  return (
    <>
      <header class="header">
        <IconButton
          class="drawer-only"
          icon="menu"
          label="Conversations"
          expanded={drawerOpen.value}
          onClick={() => (drawerOpen.value = true)}
        />
        <h1 class="header-title">{isDraft.value ? 'New chat' : shown.value.title}</h1>
        <ModelPicker />
        <IconButton
          icon="sliders"
          label="Settings of this chat"
          onClick={() => (settingsOpen.value = true)}
        />
        <IconButton class="drawer-only" icon="plus" label="New chat" onClick={startNew} />
      </header>
      {isGone.value && <Gone />}
    </>
  );
}
