/** What a command of cnictl is: what ./commands.ts lists, ./cnictl.ts runs and ./help.ts explains. */
import type { Environment } from '../../lib/cni/request.ts';
import type { Runtime } from '../../lib/libcni/execute.ts';
import type { OptionName, ParsedOptions } from './options.ts';

/** What a command has to say: to programs, and to a person. */
export interface Answer {
  readonly json: string;
  readonly text: string;
  /** What it could not do, when it did the rest: told after the answer, exit status 1. */
  readonly failure?: unknown;
}

export interface Invocation {
  readonly positionals: readonly string[];
  readonly options: ParsedOptions;
  readonly env: Environment;
  readonly cwd: string;
  readonly runtime: Runtime;
}

export interface Command {
  readonly summary: string;
  /** Names of the arguments; those after the first `required` ones may be left out. */
  readonly positionals: readonly string[];
  readonly required: number;
  readonly options: readonly OptionName[];
  /** What a pipe or file gets without `--json`: JSON, as from cnitool, or what a terminal gets, for grep and less. */
  readonly piped: 'json' | 'text';
  readonly about: string;
  readonly examples: readonly string[];
  run(invocation: Invocation): Promise<Answer>;
}
