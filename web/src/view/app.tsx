import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { isDraft, shown, startNew } from '../state/conversations.ts';
import { stop } from '../state/replies.ts';
import { wantsKey } from '../state/server.ts';
import { Composer, DropVeil } from './composer.tsx';
import { Header } from './header.tsx';
import { drawerOpen, dropped, settingsOpen } from './intent.ts';
import { KeyDialog } from './key_dialog.tsx';
import { Notices } from './notices.tsx';
import { SettingsDialog } from './settings_dialog.tsx';
import { Sidebar } from './sidebar.tsx';
import { Thread } from './thread.tsx';

function onKeyDown(event: KeyboardEvent): void {
  if (event.isComposing) return; // the key is the input method's
  if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === 'o') {
    event.preventDefault();
    startNew();
  } else if (event.key === 'Escape' && !document.querySelector('dialog[open]')) {
    if (drawerOpen.value) drawerOpen.value = false;
    else stop(shown.value.id);
  }
}

// As in the style sheet: wider pages have no drawer.
const narrow = matchMedia('(max-width: 50rem)');
const closeDrawer = () => (drawerOpen.value = false);

function useListeners(): void {
  useEffect(() => {
    addEventListener('keydown', onKeyDown);
    narrow.addEventListener('change', closeDrawer);
  }, []);
}

const carriesFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;

// Files may be dropped anywhere on the page.
function useDropping() {
  const over = useSignal(false);
  const onDragOver = (event: DragEvent) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    over.value = true;
  };
  const onDragLeave = (event: DragEvent) => {
    if (event.relatedTarget === null) over.value = false;
  };
  const onDrop = (event: DragEvent) => {
    over.value = false;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    dropped.value = [...(event.dataTransfer?.files ?? [])];
  };
  return { over, onDragOver, onDragLeave, onDrop };
}

export function App() {
  useListeners();
  const { over, ...dropping } = useDropping();
  const title = isDraft.value ? 'tern' : `${shown.value.title} · tern`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  return (
    <div class={drawerOpen.value ? 'page drawer-open' : 'page'} {...dropping}>
      <Sidebar />
      <div class="shade" onClick={closeDrawer} />
      <div class="chat" inert={drawerOpen.value}>
        <Header />
        <Thread />
        <Composer />
      </div>
      {settingsOpen.value && <SettingsDialog />}
      {wantsKey.value && <KeyDialog />}
      {over.value && <DropVeil />}
      <Notices />
    </div>
  );
}
