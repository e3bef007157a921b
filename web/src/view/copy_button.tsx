import { useSignal } from '@preact/signals';
import { copyText } from './clipboard.ts';
import { IconButton } from './icon.tsx';

export function CopyButton({ text, label }: { text: string; label: string }) {
  const copied = useSignal(false);
  const copy = () => {
    void copyText(text);
    copied.value = true;
    setTimeout(() => (copied.value = false), 1_500);
  };
  return (
    <IconButton
      icon={copied.value ? 'check' : 'copy'}
      label={copied.value ? 'Copied' : label}
      onClick={copy}
    />
  );
}
