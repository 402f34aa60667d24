/** Which boot of which machine this is, and how long it has been: what dates a record without trusting a clock. */
import { readFileSync } from 'node:fs';

/** Another one with every boot (random(4)); '' where /proc hides it. */
export function bootId(): string {
  return readWord('/proc/sys/kernel/random/boot_id');
}

/** The installation's id (machine-id(5)); '' where there is none. */
export function machineId(): string {
  return readWord('/etc/machine-id');
}

/** Milliseconds since boot, from a clock that nobody can set. */
export function sinceBootMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** When this boot began in the wall clock's present opinion, in milliseconds since 1970. It moves when the clock is set. */
export function bootTimeMs(): number {
  const uptimeS = Number(readWord('/proc/uptime').split(' ')[0]);
  return Date.now() - (Number.isFinite(uptimeS) ? uptimeS * 1000 : sinceBootMs());
}

function readWord(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Not there or hidden: whoever needs it can prove nothing by it.
    return '';
  }
}
