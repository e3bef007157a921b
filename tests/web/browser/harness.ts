// Chromium, the mock server, and a page that must behave: no request elsewhere, no error, no breach of the policy.
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { startMockServer } from '../mock_server.mjs';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
];

export type Server = Awaited<ReturnType<typeof startMockServer>>;

let browser: Browser;
let others: Browser[] = []; // with arguments of their own
let server: Server;
let faults: string[] = [];

const launch = (more: string[]): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [...QUIET, '--disable-component-update', '--disable-sync', ...more],
  });

// Starts both for the tests of one file.
export function useBrowser(): void {
  beforeAll(async () => {
    server = await startMockServer();
    browser = await launch([]);
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    await Promise.all(others.map((other) => other.close()));
    others = [];
    const seen = faults;
    faults = [];
    expect(seen).toEqual([]);
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
  });
}

export const theServer = (): Server => server;

function watch(page: Page, origin: string): void {
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (/Content.Security.Policy|Uncaught/i.test(message.text())) faults.push(message.text());
  });
  page.on('request', (request) => {
    if (!/^(?:data|blob):/.test(request.url()) && !request.url().startsWith(origin))
      faults.push(request.url());
  });
  page.on('dialog', (dialog) => {
    faults.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
}

export class Chat {
  readonly page: Page;
  readonly field: Locator;
  readonly answers: Locator;
  readonly questions: Locator;

  constructor(page: Page) {
    this.page = page;
    this.field = page.getByRole('textbox', { name: 'Message', exact: true });
    this.answers = page.locator('.assistant');
    this.questions = page.locator('.user');
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true });
  }

  // Sends, and does not wait.
  async send(text: string): Promise<void> {
    await this.field.fill(text);
    await this.field.press('Enter');
  }

  // Sends, and waits for the answer's end.
  async ask(text: string): Promise<string> {
    const before = await this.answers.count();
    await this.send(text);
    await this.answers.nth(before).waitFor();
    return this.answered();
  }

  // Waits until nothing is on its way, and returns the last answer.
  async answered(): Promise<string> {
    await this.button('Stop').waitFor({ state: 'detached' });
    await this.page.locator('.assistant[aria-busy=true]').waitFor({ state: 'detached' });
    return this.lastAnswer();
  }

  async lastAnswer(): Promise<string> {
    return (await this.answers.last().locator('.markdown').last().innerText()).trim();
  }
}

export async function openChat(
  options: BrowserContextOptions = {},
  url = server.url,
  args: string[] = [],
): Promise<Chat> {
  const launched = args.length > 0 ? await launch(args) : browser;
  if (launched !== browser) others.push(launched);
  const context = await launched.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  watch(page, url);
  await page.goto(url);
  const chat = new Chat(page);
  await chat.field.waitFor();
  return chat;
}
