/**
 * A machine of its own: network, mount and process namespaces, with /run of its own and a disk that outlives it, which
 * has /var/lib/cni and /etc/cni. What runs on it ends with it, whatever happens to the test.
 */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { Daemon } from './daemon.ts';
import { type Command, must } from './process.ts';
import { Namespace } from './world.ts';

/** Mounts, then waits for the end of stdin: of the test's process at the latest. $1 is the machine's folder. */
const BOOT = `set -e
for name in lib etc; do mkdir -p "$1/$name"; done
mount -n --bind "$1/lib" /var/lib/cni
mount -n --bind "$1/etc" /etc/cni
[ ! -e "$1/boot_id" ] || mount -n --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
mkdir -p "$1/run"
mount -n -t tmpfs -o mode=755 tmpfs "$1/run"
mkdir "$1/run/netns"
mount -n --rbind /run/netns "$1/run/netns"
mount -n --move "$1/run" /run
echo up
exec cat`;

export class Machine implements AsyncDisposable {
  readonly name: string;
  readonly namespace: Namespace;
  /** Its disk, as the test sees it. */
  readonly folder: string;
  #init: Daemon | undefined;
  #initPid = 0;
  #boots = 0;

  /** `id` makes the namespace's name unlike others'. */
  constructor(id: string, name: string) {
    this.name = name;
    this.namespace = new Namespace(`${id}-${name}`);
    this.folder = `/run/nodecni-test/${id}/${name}`;
  }

  /** A command that runs on it. */
  enter(command: Command): Command {
    const namespaces = [`--target=${this.#initPid}`, '--mount', '--pid', `--net=${this.namespace.path}`];
    return ['/usr/bin/nsenter', ...namespaces, ...command];
  }

  /** Runs a step of the test on it; returns its stdout. */
  run(...command: Command): Promise<string> {
    return must(this.enter(command));
  }

  daemon(name: string, command: Command): Daemon {
    return new Daemon(`${name} on ${this.name}`, this.enter(command));
  }

  /** With a new, empty network namespace; another boot than the last one. */
  async start(): Promise<void> {
    mkdirSync(this.folder, { recursive: true });
    await must(['ip', 'netns', 'add', this.namespace.name]);
    await must(['ip', '-n', this.namespace.name, 'link', 'set', 'lo', 'up']);
    this.#boots += 1;
    writeFileSync(`${this.folder}/boot_id`, `00000000-0000-4000-8000-${String(this.#boots).padStart(12, '0')}\n`);
    const unshare = [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--propagation',
      'unchanged',
    ] as const;
    this.#init = new Daemon(this.name, ['/usr/bin/unshare', ...unshare, '/bin/sh', '-c', BOOT, 'sh', this.folder]);
    await this.#init.said('up\n');
    this.#initPid = await this.#init.childPid();
  }

  /** Power off: every process ends at once, the network is gone. */
  async stop(): Promise<void> {
    this.namespace[Symbol.dispose]();
    await this.#init?.[Symbol.asyncDispose]();
    this.#init = undefined;
    await must(['ip', 'netns', 'del', this.namespace.name]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#init !== undefined) await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
