// A server that speaks what the page needs of tern's API, says the same on every run, and fails on demand. The first
// word of what the user said last chooses the answer (ANSWERS below); anything else is repeated word by word.
//
//     node tests/web/mock_server.mjs [port]     for working on the page: http://127.0.0.1:8080/
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../../web/dist', import.meta.url));

export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** @type {Record<string, string>} */
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
};

const markdown = await readFile(new URL('markdown.md', import.meta.url), 'utf8');
const hostile = await readFile(new URL('hostile.md', import.meta.url), 'utf8');

/**
 * What an answer is made of: text in pieces, and what happens instead of, or after, them.
 * @typedef {object} Answer
 * @property {string} [text]
 * @property {string} [reasoning]
 * @property {number} [pause] ms between two pieces
 * @property {boolean} [waits] before the first word, until the other side has gone
 * @property {number} [breakAfter] pieces, after which the connection is cut
 * @property {string} [finish]
 * @property {string} [failAfter] a message of an error within the stream, after the text
 * @property {{ status: number, code?: string, message: string, retryAfter?: number }} [refuse]
 */

const COUNT = Array.from({ length: 400 }, (_, index) => `word${index + 1}`).join(' ');

/** @type {Record<string, (rest: string, visit: number) => Answer>} */
const ANSWERS = {
  markdown: () => ({ text: markdown, pause: 2 }),
  hostile: () => ({ text: hostile, pause: 1 }),
  think: () => ({
    reasoning: 'First I look at it. Then I look **again**.',
    text: 'It is so.',
    pause: 20,
  }),
  inline: () => ({
    text: '<think>\nWell, well.\n</think>\n\nIndeed.',
    pause: 20,
  }),
  slow: () => ({ text: COUNT, pause: 30 }),
  silent: () => ({ text: 'At last.', waits: true }),
  break: (_rest, visit) =>
    visit === 1
      ? { text: 'It was a dark and stormy night', pause: 20, breakAfter: 5 }
      : { text: ' night. It rained.' },
  length: () => ({ text: 'This goes on', finish: 'length' }),
  late: () => ({
    text: 'Half of it',
    failAfter: 'The device is out of memory.',
  }),
  busy: (_rest, visit) =>
    visit === 1
      ? {
          refuse: { status: 429, message: 'The queue is full.', retryAfter: 1 },
        }
      : { text: 'Here I am.' },
  full: () => ({
    refuse: {
      status: 400,
      code: 'context_length_exceeded',
      message: 'The prompt has 9000 tokens, the context 8192.',
    },
  }),
  forbidden: () => ({
    refuse: {
      status: 403,
      code: 'origin_not_allowed',
      message: 'Pages of this site may not use this server.',
    },
  }),
  wrong: () => ({
    refuse: { status: 500, message: 'Something went wrong in the engine.' },
  }),
  long: () => ({
    text: Array.from({ length: 30 }, () => markdown).join('\n\n'),
    pause: 2,
  }),
  rtl: () => ({
    text: '\u0645\u0631\u062d\u0628\u0627!\n\n- \u0623\u0648\u0644\u0627\n\n```c\nint main;\n```\n\nIn English.',
  }),
  again: (_rest, visit) => ({ text: `This is answer ${visit}.` }),
};

/** @param {string} text */
const piecesOf = (text) => text.match(/\s*\S+|\s+$/g) ?? [];

/** @typedef {import('node:http').ServerResponse} Response */

/**
 * @param {Response} response
 * @param {number} status
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 */
function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
}

/**
 * @param {Response} response
 * @param {NonNullable<Answer['refuse']>} refuse
 */
function sendRefusal(response, { status, code, message, retryAfter }) {
  /** @type {Record<string, string>} */
  const headers = retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) };
  const error = { message, type: 'invalid_request_error', param: null, code: code ?? null };
  sendJson(response, status, { error }, headers);
}

/**
 * @param {Response} response
 * @param {string} path
 */
async function sendFile(response, path) {
  const name = normalize(path === '/' ? '/index.html' : path);
  try {
    const content = await readFile(join(DIST, name));
    response.writeHead(200, {
      'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream',
      'Content-Security-Policy': POLICY,
      'X-Content-Type-Options': 'nosniff',
    });
    response.end(content);
  } catch {
    sendRefusal(response, { status: 404, message: 'There is nothing here.' });
  }
}

/**
 * @param {Response} response
 * @param {object} event
 */
const sendEvent = (response, event) => response.write(`data: ${JSON.stringify(event)}\n\n`);

/**
 * @param {object} delta
 * @param {string | null} [finish]
 */
const chunkOf = (delta, finish = null) => ({
  id: 'chat-1',
  object: 'chat.completion.chunk',
  created: 0,
  model: 'tern-mock',
  choices: [{ index: 0, delta, finish_reason: finish }],
});

/**
 * @param {Response} response
 * @param {Answer} answer
 * @param {number} promptTokens
 */
async function stream(response, answer, promptTokens) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.write(': hello\n\n');
  sendEvent(response, chunkOf({ role: 'assistant', content: '' }));
  if (answer.waits) await new Promise((resolve) => response.once('close', () => resolve(undefined)));
  const thoughts = piecesOf(answer.reasoning ?? '').map((piece) => ({ reasoning_content: piece }));
  const pieces = [...thoughts, ...piecesOf(answer.text ?? '').map((piece) => ({ content: piece }))];
  for (const [index, delta] of pieces.entries()) {
    if (index === answer.breakAfter) {
      await sleep(500); // a browser throws away what it has not read when a connection breaks
      response.destroy();
    }
    if (response.destroyed) return;
    sendEvent(response, chunkOf(delta));
    if (answer.pause) await sleep(answer.pause);
  }
  if (answer.failAfter) {
    sendEvent(response, { error: { message: answer.failAfter, code: 500 } });
    response.end();
    return;
  }
  sendEvent(response, chunkOf({}, answer.finish ?? 'stop'));
  const tokens = { prompt_tokens: promptTokens, completion_tokens: pieces.length };
  sendEvent(response, { choices: [], usage: { ...tokens, prompt_tokens_details: { cached_tokens: 7 } } });
  response.end('data: [DONE]\n\n');
}

/**
 * @param {import('node:http').Server} server
 * @param {number} port 0: any that is free
 * @returns {Promise<number>} the port
 */
async function listen(server, port) {
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  return typeof address === 'object' && address ? address.port : port;
}

/**
 * @typedef {object} Options
 * @property {number} [port]
 * @property {string} [key] the API key that requests must carry
 * @property {string[]} [models]
 */

/** @param {Options} [options] */
export async function startMockServer({
  port = 0,
  key = '',
  models = ['tern-mock', 'tern-mock-large'],
} = {}) {
  /** @type {Record<string, any>[]} */
  const requests = [];
  /** @type {Map<string, number>} */
  const visits = new Map();
  let aborted = 0;

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {Response} response
   */
  async function complete(request, response) {
    let text = '';
    for await (const part of request) text += part;
    const body = JSON.parse(text);
    requests.push(body);
    response.on('close', () => (aborted += response.writableFinished ? 0 : 1));
    const said = body.messages.findLast(
      (/** @type {{ role: string }} */ { role }) => role === 'user',
    ).content;
    const visit = (visits.get(said) ?? 0) + 1;
    visits.set(said, visit);
    const answer = ANSWERS[said.split(/\s/)[0]]?.(said, visit) ?? {
      text: `You said: ${said.slice(0, 200)}`,
      pause: 30, // so that the page sees pieces, and can tell their speed
    };
    if (answer.refuse) sendRefusal(response, answer.refuse);
    else await stream(response, answer, piecesOf(JSON.stringify(body.messages)).length);
  }

  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const isApi = pathname.startsWith('/v1/') || pathname === '/props';
    if (isApi && key && request.headers.authorization !== `Bearer ${key}`) {
      sendRefusal(response, {
        status: 401,
        code: 'invalid_api_key',
        message: 'The API key is missing or wrong.',
      });
    } else if (pathname === '/v1/models') {
      sendJson(response, 200, { object: 'list', data: models.map((id) => ({ id, object: 'model' })) });
    } else if (pathname === '/props') {
      sendJson(response, 200, { default_generation_settings: { n_ctx: 8192, temperature: 0.699999988 } });
    } else if (pathname === '/v1/chat/completions') {
      await complete(request, response);
    } else {
      await sendFile(response, pathname);
    }
  });

  const bound = await listen(server, port);
  return {
    url: `http://127.0.0.1:${bound}/`,
    port: bound,
    requests,
    abortedCount: () => aborted,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve(undefined));
        server.closeAllConnections();
      }),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startMockServer({ port: Number(process.argv[2] ?? 8080) });
  process.stdout.write(`${url}\n`);
}
