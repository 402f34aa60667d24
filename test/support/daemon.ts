/** A long-running program of a test: started, awaited and ended by its process ID, its words kept for a failure. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type Command, until } from './process.ts';

const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

export class Daemon implements AsyncDisposable {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #log = '';

  constructor(name: string, command: Command) {
    const [program, ...args] = command;
    this.name = name;
    this.#child = spawn(program, args, { env: { PATH }, stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
    this.#ended = new Promise((resolve) => {
      this.#child.on('close', () => resolve());
      this.#child.on('error', (error) => {
        this.#log += `${error.message}\n`;
        resolve();
      });
    });
  }

  /** All that it said. */
  get log(): string {
    return this.#log;
  }

  /** Of the command itself. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Of what a command such as nsenter(1) or unshare(1) started in a new process. */
  childPid(): Promise<number> {
    return until(`the process of ${this.name}`, async () => {
      if (this.hasEnded) throw this.#failed();
      return Number(readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8').trim()) || undefined;
    });
  }

  /** Throws with its log when it ends instead, or says nothing of the kind in time. */
  async said(words: string, timeoutMs = 20_000): Promise<void> {
    await this.whenReady(`"${words}"`, async () => (this.#log.includes(words) ? true : undefined), timeoutMs);
  }

  /** Until `probe` finds something; throws with the log when that does not come. */
  async whenReady<T>(what: string, probe: () => Promise<T | undefined>, timeoutMs = 20_000): Promise<T> {
    const found = async () => {
      if (this.hasEnded) throw this.#failed();
      return probe();
    };
    return until(`${what} of ${this.name}`, found, timeoutMs).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.#log}`);
    });
  }

  /** Sends `signal` to `pid`, the command's own when absent, and waits for the end. */
  async end(signal: NodeJS.Signals, pid = this.pid): Promise<void> {
    if (!this.hasEnded) process.kill(pid, signal);
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
  }

  #failed(): Error {
    return new Error(`${this.name} has ended: ${this.#log}`);
  }
}
