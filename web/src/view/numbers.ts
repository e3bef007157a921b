export function secondsOf(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (milliseconds < 95) return `${Math.round(milliseconds)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export const speedOf = (perSecond: number): string => `${perSecond.toFixed(perSecond < 10 ? 1 : 0)} tokens/s`;

const grouped = new Intl.NumberFormat('en');

export const countOf = (count: number): string => grouped.format(count);
