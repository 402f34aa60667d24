/** Running things for the demo: here on the node, or inside another network namespace. */
import { spawnSync } from 'node:child_process';

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where a command runs: on the node, or in the namespace of this name. */
export type Place = 'node' | 'red' | 'blue' | 'outside';

/** Runs the command to its end, whatever comes of it. */
export function tryRun(place: Place, command: readonly string[], env: NodeJS.ProcessEnv = process.env): Ended {
  const [file = '', ...args] = commandIn(place, command);
  const { status, stdout, stderr, error } = spawnSync(file, args, { env, encoding: 'utf8', timeout: 60_000 });
  if (error !== undefined) throw new Error(`cannot run ${command.join(' ')}: ${error.message}`);
  return { status, stdout, stderr };
}

/** Runs the command and returns its output. Throws with what it said when it fails. */
export function run(place: Place, command: readonly string[], env?: NodeJS.ProcessEnv): string {
  const { status, stdout, stderr } = tryRun(place, command, env);
  if (status === 0) return stdout;
  throw new Error(`${command.join(' ')} (${place}) ended with status ${status}: ${(stderr || stdout).trim()}`);
}

/** `command` as it has to be started to run at `place`. */
export function commandIn(place: Place, command: readonly string[]): readonly string[] {
  return place === 'node' ? command : ['nsenter', `--net=/run/netns/${place}`, '--', ...command];
}
