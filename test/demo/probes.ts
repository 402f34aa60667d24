/** Proving that traffic flows: a server that tells each caller the address it came from, and callers of it. */
import { spawn } from 'node:child_process';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { commandIn, type Place, tryRun } from './shell.ts';

const SERVER = join(import.meta.dirname, 'whoami-server.ts');
const CLIENT = join(import.meta.dirname, 'whoami-client.ts');

export interface Server {
  stop(): void;
}

/** Starts the server at `place`; resolves once it listens. */
export async function serve(place: Place, port: number): Promise<Server> {
  const [file = '', ...args] = commandIn(place, [process.execPath, SERVER, String(port)]);
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (status) => reject(new Error(`the server in ${place} ended with status ${status}`)));
    child.once('error', reject);
  });
  return { stop: () => void child.kill() };
}

/** The address that the server behind `address` and `port` sees when it is called from `place`. */
export function callerSeenBy(place: Place, address: string, port: number): string {
  const { status, stdout, stderr } = tryRun(place, [process.execPath, CLIENT, address, String(port)]);
  if (status === 0) return stdout.trim();
  const target = isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
  throw new Error(`no answer from ${target}, called from ${place}: ${stderr.trim()}`);
}
