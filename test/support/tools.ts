/** Broken tools: stand-ins mounted over the real `ip`, `iptables-restore` and so on, seen by one call only. */

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import type { Command } from './process.ts';
import type { World } from './world.ts';

/**
 * What happens at the chosen call: it fails and did nothing; it does half of its batch, then fails; it does all, then
 * fails; it never ends; it sends SIGTERM or SIGKILL to the plugin and then does its work; it waited for
 * the xtables lock in vain; the tool is not there at all.
 */
export type Fault = 'fail' | 'half' | 'after' | 'hang' | 'terminate' | 'kill' | 'locked' | 'missing';

export interface BrokenTools {
  readonly fault: Fault;
  /** Which call, counted from 1 over all broken tools together; every call when absent. */
  readonly call?: number;
  /** Names of the tools; all when absent. */
  readonly tools?: readonly string[];
}

export interface Breakage {
  /** For `wrap` of a call. */
  readonly wrap: (command: Command) => Command;
  /** Whether the fault happened. */
  fired(): boolean;
  /** What was called, `tool arguments` a line. */
  calls(): string[];
}

/** Files that the tools' names lead to. All iptables commands are one executable. */
const EXECUTABLES = ['ip', 'iptables-restore', 'nft', 'conntrack'].map((tool) => realpathSync(`/usr/sbin/${tool}`));

export function breakTools(world: World, broken: BrokenTools): Breakage {
  const folder = `${world.folder}/tools`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const path of EXECUTABLES) copyFileSync(path, `${folder}/${basename(path)}.real`);
  const affected = EXECUTABLES.filter((path) => isAffected(path, broken));
  const mounts = affected.map((path) => {
    const fake = `${folder}/${basename(path)}.fake`;
    writeFileSync(fake, fakeTool(folder, basename(path), broken));
    chmodSync(fake, broken.fault === 'missing' ? 0o600 : 0o755);
    return `mount --bind '${fake}' '${path}'`;
  });
  const log = `${folder}/calls`;
  return {
    wrap: inMountNamespace(mounts),
    fired: () => existsSync(`${folder}/fired`),
    calls: () => (existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []),
  };
}

export interface Firewalls {
  readonly nft?: boolean;
  readonly iptables?: 'nft' | 'legacy';
}

/** For `wrap` of a call: a host that has these firewalls' tools and no others. */
export function hostWith(world: World, { nft = false, iptables }: Firewalls): Breakage['wrap'] {
  const none = `${world.folder}/none`;
  writeFileSync(none, '', { mode: 0o600 });
  const multi = realpathSync('/usr/sbin/iptables-restore');
  const legacy = realpathSync('/usr/sbin/iptables-legacy');
  const mounts = [
    ...(nft ? [] : [[none, '/usr/sbin/nft']]),
    ...(iptables === undefined ? [[none, multi]] : []),
    ...(iptables === 'legacy' && multi !== legacy ? [[legacy, multi]] : []),
  ];
  return inMountNamespace(mounts.map(([from, to]) => `mount --bind '${from}' '${to}'`));
}

/** Not bash: with a socket on stdin it would read root's ~/.bashrc. */
function inMountNamespace(mounts: readonly string[]): Breakage['wrap'] {
  const script = [...mounts, 'exec "$@"'].join(' && ');
  const enter = ['--mount', '--propagation', 'private', '/bin/sh', '-c', script, 'sh'];
  return (command) => ['/usr/bin/unshare', ...enter, ...command];
}

function isAffected(path: string, { fault, tools }: BrokenTools): boolean {
  if (fault !== 'missing' || tools === undefined) return true;
  return tools.some((tool) => realpathSync(`/usr/sbin/${tool}`) === path);
}

function fakeTool(folder: string, executable: string, { fault, call, tools }: BrokenTools): string {
  const only = tools === undefined ? '*' : tools.join('|');
  return `#!/bin/bash
tool=\${0##*/}
real() { ( exec -a "$tool" '${folder}/${executable}.real' "$@" ); }
case "$tool" in ${only}) ;; *) real "$@"; exit ;; esac
# Two that run beside each other are two calls.
exec 9>>'${folder}/lock'
flock 9
echo "$tool $*" >>'${folder}/calls'
count=$(wc -l <'${folder}/calls')
exec 9>&-
${call === undefined ? '' : `[ "$count" -eq ${call} ] || { real "$@"; exit; }`}
touch '${folder}/fired'
${ACTIONS[fault]}
echo "$tool: broken by the test" >&2
exit 1
`;
}

const ACTIONS: Readonly<Record<Fault, string>> = {
  fail: '',
  missing: '',
  after: 'real "$@"',
  hang: 'exec sleep 600',
  terminate: 'kill -TERM $PPID; real "$@"; exit',
  kill: 'kill -KILL $PPID; real "$@"; exit',
  // What iptables-legacy-restore 1.8.9 says.
  locked: 'echo "Another app is currently holding the xtables lock. Stopped waiting after 20s." >&2; exit 4',
  half: `case " $* " in
  *" -batch "*) lines=$(cat); half=$(( ($(wc -l <<<"$lines") + 1) / 2 )); head -n "$half" <<<"$lines" | real "$@" ;;
esac`,
};
