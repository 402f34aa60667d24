/** Runs inside a namespace, started by ./agent.ts: answers with what it sees, asks what it is told to. */

import { createSocket } from 'node:dgram';
import { connect, createServer, isIPv6 } from 'node:net';
import type { Answer, Question, Reply, Request } from './agent.ts';

/** Nothing of a test outlives this, should everything else that ends an agent fail. */
const LIFETIME_MS = 600_000;

/** For what `take` asks for. */
const TAKE_MS = 60_000;

setTimeout(() => process.exit(1), LIFETIME_MS);
process.on('disconnect', () => process.exit(0));
process.on('message', async ({ id, request }: { id: number; request: Request }) => {
  const reply = await perform(request).catch((error: Error) => ({ error: error.message }));
  process.send?.({ id, ...reply } satisfies Reply);
});

async function perform(request: Request): Promise<Omit<Reply, 'id'>> {
  switch (request.kind) {
    case 'listen':
      await Promise.all([serveTcp(request), serveUdp(request)]);
      return {};
    case 'ask':
      return { answer: await withDeadline(request.protocol === 'tcp' ? askTcp : askUdp, request) };
    case 'give':
      await giveBytes(request);
      return {};
    case 'take':
      return { bytes: await takeBytes(request, AbortSignal.timeout(TAKE_MS)) };
    default:
      throw request satisfies never;
  }
}

function answerTo(name: string, address: string | undefined): string {
  return JSON.stringify({ name, seen: (address ?? '').replace(/^::ffff:/, '') } satisfies Answer);
}

function serveTcp({ name, port }: { name: string; port: number }): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(answerTo(name, socket.remoteAddress));
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen({ host: '::', port }, resolve);
  });
}

function serveUdp({ name, port }: { name: string; port: number }): Promise<void> {
  const socket = createSocket('udp6');
  socket.on('message', (_, from) => socket.send(answerTo(name, from.address), from.port, from.address));
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.bind({ address: '::', port }, resolve);
  });
}

function giveBytes({ bytes, port }: { bytes: number; port: number }): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(Buffer.alloc(bytes, 'nodecni'));
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen({ host: '::', port }, resolve);
  });
}

function takeBytes({ host, port }: { host: string; port: number }, signal: AbortSignal): Promise<number> {
  const socket = connect({ host, port });
  let count = 0;
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => socket.destroy(new Error(`stuck after ${count} bytes`)));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      count += chunk.length;
    });
    socket.on('end', () => resolve(count));
  });
}

function withDeadline(ask: (question: Question, signal: AbortSignal) => Promise<string>, question: Question) {
  const signal = AbortSignal.timeout(question.timeoutMs ?? 2_000);
  return ask(question, signal).then((text) => JSON.parse(text) as Answer);
}

function askTcp({ host, port, localPort }: Question, signal: AbortSignal): Promise<string> {
  const socket = connect({ host, port, localPort });
  let text = '';
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => socket.destroy(new Error('timed out')));
    socket.on('error', reject);
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('end', () => resolve(text));
  });
}

function askUdp({ host, port, localPort }: Question, signal: AbortSignal): Promise<string> {
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', signal });
  return new Promise<string>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('timed out')));
    socket.on('error', reject);
    socket.on('message', (message) => resolve(message.toString()));
    socket.bind(localPort ?? 0, () => socket.send('?', port, host));
  }).finally(() => {
    if (!signal.aborted) socket.close();
  });
}
