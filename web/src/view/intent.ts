// What one part of the page wants of another.
import { signal } from '@preact/signals';

export const editing = signal<string | null>(null); // id of the message that is being edited
export const suggested = signal(''); // words for the composer
export const dropped = signal<readonly File[]>([]); // files for the composer
export const drawerOpen = signal(false); // the list of conversations, where it lies over the page
export const settingsOpen = signal(false);
