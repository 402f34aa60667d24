/** Which links the namespace of this thread has, without a child process. */
import { readFileSync } from 'node:fs';

/**
 * Names of all links, from /proc/net/dev (proc_pid_net(5)): it follows the thread's namespace, unlike /sys/class/net,
 * which shows that of whoever mounted it.
 */
export function linkNames(): ReadonlySet<string> {
  return parseLinkNames(readFileSync('/proc/thread-self/net/dev', 'utf8'));
}

/** The first column below the two heading lines; a name may hold any character but `:`, `/` and white space. */
export function parseLinkNames(text: string): ReadonlySet<string> {
  const rows = text.split('\n').slice(2);
  return new Set(rows.map((row) => row.split(':')[0]?.trim() ?? '').filter((name) => name !== ''));
}
