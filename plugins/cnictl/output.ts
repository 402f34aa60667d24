/** The one door to stdout, stderr, signals and exit status of cnictl's process. */
import { fstatSync } from 'node:fs';
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Host } from '../../lib/cni/plugin.ts';
import { writeAll } from '../../lib/linux/write-all.ts';

/** True when a person reads stdout. /dev/null counts too, and nobody minds. */
export function isTerminal(): boolean {
  return fstatSync(1).isCharacterDevice();
}

/** Says what was done and ends the process; status 1 when it could not be said. */
export function succeed(text: string): never {
  process.exit(say(text) ? 0 : 1);
}

/** Says something on stdout; false when nobody reads any more. */
export function say(text: string): boolean {
  return writeAll(1, text === '' ? '' : `${text}\n`);
}

/** Says what went wrong, in the second line what helps, and ends the process. */
export function fail(message: string, { hint, status }: { hint: string; status: 1 | 2 }): never {
  writeAll(2, `cnictl: ${message}\n${hint === '' ? '' : `  ${hint}\n`}`);
  process.exit(status);
}

/** What the chain may ask of this process: it sees Ctrl-C and SIGTERM between two plugins, which finish in peace. */
export function makeHost(): Pick<Host, 'warn' | 'checkpoint'> {
  let received: string | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      received = signal;
    });
  }
  return {
    warn(message) {
      writeAll(2, `${message}\n`);
    },
    async checkpoint() {
      await new Promise((resolve) => setImmediate(resolve));
      if (received === undefined) return;
      throw new CniError(code.interrupted, `interrupted by ${received}`);
    },
  };
}
