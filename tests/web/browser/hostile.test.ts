import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { openChat, useBrowser } from './harness.ts';

useBrowser();

const HOSTILE = readFileSync(new URL('../hostile.md', import.meta.url), 'utf8');

// The harness fails a test whose page asks another server for anything, or breaks the policy.
it.each([false, true])(
  'a hostile answer runs nothing and loads nothing (bypassing the policy: %s)',
  async (bypassCSP) => {
    const chat = await openChat({ bypassCSP });
    await chat.page.evaluate(() => Object.assign(window, { hacked: 'no' }));
    const answer = await chat.ask('hostile');
    expect(answer).toContain('End of the hostile answer.');
    for (const link of await chat.answers.locator('a').all()) {
      expect(await link.getAttribute('href')).toMatch(/^https:\/\//);
      await link.hover();
    }
    await chat.page.waitForTimeout(500);
    expect(await chat.page.evaluate(() => (window as unknown as { hacked: string }).hacked)).toBe('no');
    expect(
      await chat.answers
        .locator('img, svg:not(.icon):not(.katex svg), script, iframe, form, input, style')
        .count(),
    ).toBe(0);
    expect(await chat.page.evaluate(() => document.body.checkVisibility())).toBe(true);
  },
);

it('hostile words elsewhere are only words', async () => {
  const chat = await openChat();
  await chat.page.evaluate(() => Object.assign(window, { hacked: 'no' }));
  const [line = ''] = HOSTILE.split('\n');
  await chat.ask(`${line}<img src=x onerror="window.hacked='title'">`);
  await chat.page.getByLabel('Text files', { exact: true }).setInputFiles({
    name: '<img src=x onerror=alert(1)>.txt',
    mimeType: 'text/plain',
    buffer: Buffer.from('```\n<script>window.hacked = 1</script>'),
  });
  await chat.ask('and a file');
  expect(await chat.page.evaluate(() => (window as unknown as { hacked: string }).hacked)).toBe('no');
  expect(await chat.page.locator('img').count()).toBe(0);
});
