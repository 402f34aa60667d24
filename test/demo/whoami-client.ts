/** `whoami-client.ts ADDRESS PORT`: prints what the server there answers. Tries for a few seconds. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const TRIES = 5;
const TRY_MS = 1_000;
const PAUSE_MS = 200;

const [host = '', port = ''] = process.argv.slice(2);

for (let left = TRIES; ; left -= 1) {
  try {
    process.stdout.write(`${await ask()}\n`);
    break;
  } catch (error) {
    if (left > 1) await sleep(PAUSE_MS);
    else {
      process.stderr.write(`${(error as Error).message}\n`);
      process.exit(1);
    }
  }
}

function ask(): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect({ host, port: Number(port), timeout: TRY_MS });
    socket.on('data', (data) => {
      answer += data.toString();
    });
    socket.on('end', () => resolve(answer));
    socket.on('timeout', () => socket.destroy(new Error(`no connection within ${TRY_MS / 1000} s`)));
    socket.on('error', reject);
  });
}
