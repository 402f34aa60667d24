/** A process inside a network namespace that serves and asks on behalf of a test: the far side is ./agent-main.ts. */

import { type ChildProcess, spawn } from 'node:child_process';

export type Protocol = 'tcp' | 'udp';

export interface Question {
  readonly protocol: Protocol;
  readonly host: string;
  readonly port: number;
  /** 2 seconds when absent. */
  readonly timeoutMs?: number;
  /** Own port to ask from. */
  readonly localPort?: number;
}

/** What a server answers: which one it is, and whom it saw asking. */
export interface Answer {
  readonly name: string;
  /** Address of the asking side as the server sees it. */
  readonly seen: string;
}

export type Request =
  | { readonly kind: 'listen'; readonly name: string; readonly port: number }
  | { readonly kind: 'give'; readonly bytes: number; readonly port: number }
  | { readonly kind: 'take'; readonly host: string; readonly port: number }
  | ({ readonly kind: 'ask' } & Question);

export interface Reply {
  readonly id: number;
  readonly answer?: Answer;
  /** How many came. */
  readonly bytes?: number;
  readonly error?: string;
}

export class Agent implements Disposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #count = 0;

  /** In the namespace at `netns`. It ends with the test's process, too. */
  constructor(netns: string) {
    const main = `${import.meta.dirname}/agent-main.ts`;
    const args = [`--net=${netns}`, process.execPath, '--no-warnings', main];
    this.#child = spawn('/usr/bin/nsenter', args, { env: {}, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (reply: Reply) => {
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
    this.#child.on('exit', (code, signal) => {
      for (const [id, resolve] of this.#waiting) resolve({ id, error: `the agent ended (${code ?? signal})` });
      this.#waiting.clear();
    });
  }

  /** Serves TCP and UDP of both families at `port`, under the name `name`. */
  async listen(name: string, port: number): Promise<void> {
    const { error } = await this.#request({ kind: 'listen', name, port });
    if (error !== undefined) throw new Error(`cannot listen at port ${port}: ${error}`);
  }

  /** Gives `bytes` bytes to whoever connects to TCP `port`. */
  async give(bytes: number, port: number): Promise<void> {
    const { error } = await this.#request({ kind: 'give', bytes, port });
    if (error !== undefined) throw new Error(`cannot listen at port ${port}: ${error}`);
  }

  /** How many bytes come from there until the end. */
  async take(host: string, port: number): Promise<number> {
    const { bytes, error } = await this.#request({ kind: 'take', host, port });
    if (bytes !== undefined) return bytes;
    throw new Error(`nothing came from ${host} ${port}: ${error}`);
  }

  /** One connection or one datagram, never repeated. Throws when no answer came in time. */
  async ask(question: Question): Promise<Answer> {
    const { answer, error } = await this.#request({ kind: 'ask', ...question });
    if (answer !== undefined) return answer;
    throw new Error(`no answer from ${question.protocol} ${question.host} ${question.port}: ${error}`);
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }

  #request(request: Request): Promise<Reply> {
    this.#count += 1;
    const id = this.#count;
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        resolve({ id, error: 'the agent has ended' });
        return;
      }
      this.#waiting.set(id, resolve);
      this.#child.send({ id, request });
    });
  }
}
