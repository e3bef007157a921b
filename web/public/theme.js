// Runs before the first paint, so that a page that is to be dark does not flash white. The page's own code keeps the
// theme from then on.
try {
  const theme = localStorage.getItem('tern.theme');
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // storage is forbidden: the system's theme it is
}
