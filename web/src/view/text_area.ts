// A text area as high as its text; the style sheet sets the most.
export function fitHeight(area: HTMLTextAreaElement | null): void {
  if (!area) return;
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}

const touches = matchMedia('(pointer: coarse)');

// Enter sends, but not while an input method composes a word, and not on a phone, which has no Shift+Enter.
export const isPlainEnter = (event: KeyboardEvent): boolean =>
  event.key === 'Enter' && !event.shiftKey && !event.isComposing && !touches.matches;
