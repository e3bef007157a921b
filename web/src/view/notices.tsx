import { dismiss, notices, spoken, type Notice } from '../state/notices.ts';
import { IconButton } from './icon.tsx';

function Line({ notice }: { notice: Notice }) {
  const undo = () => {
    notice.undo?.();
    dismiss(notice.id);
  };
  return (
    <div class="notice">
      <span>{notice.words}</span>
      {notice.undo && (
        <button type="button" class="link" onClick={undo}>
          Undo
        </button>
      )}
      <IconButton icon="close" label="Dismiss" onClick={() => dismiss(notice.id)} />
    </div>
  );
}

// Two live regions: what is seen, and that an answer begins and ends. The answer itself is none, for it would be read
// out word by word as it comes.
export function Notices() {
  return (
    <>
      <div class="notices" role="status">
        {notices.value.map((notice) => (
          <Line key={notice.id} notice={notice} />
        ))}
      </div>
      <div class="unseen" role="status">
        {spoken}
      </div>
    </>
  );
}
