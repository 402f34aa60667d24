/** cnictl: the runtime's side of CNI for people and scripts, like cnitool. What each command does: ./commands.ts. */
import { asCniError } from '../../lib/cni/errors.ts';
import type { Environment } from '../../lib/cni/request.ts';
import { version } from '../../lib/sea/build-info.ts';
import type { Answer, Command, Invocation } from './command.ts';
import { COMMANDS } from './commands.ts';
import { commandHelp, generalHelp, HINT, usageOf } from './help.ts';
import { type CommandLine, parseCommandLine } from './options.ts';
import { fail, isTerminal, makeHost, say, succeed } from './output.ts';
import { pluginPathOf } from './request.ts';
import { UsageError } from './usage-error.ts';

/** libcni's default; cnitool cannot be told another either. */
const CACHE_DIR = '/var/lib/cni';

/** Runs the command in `args` and ends the process: 0 done, 1 failed, 2 the command line makes no sense. */
export async function runCnictl(args: readonly string[]): Promise<never> {
  try {
    const { text, failure } = await answer(args);
    if (failure === undefined) return succeed(text);
    say(text);
    throw failure;
  } catch (error) {
    if (error instanceof UsageError) return fail(error.message, { hint: error.hint, status: 2 });
    const { message, details } = asCniError(error);
    return fail(message, { hint: details, status: 1 });
  }
}

type Said = Pick<Answer, 'text' | 'failure'>;

async function answer([name, ...rest]: readonly string[]): Promise<Said> {
  if (name === undefined) throw new UsageError('no command given', HINT);
  if (name === '--version') return { text: `cnictl ${version}` };
  if (['--help', '-h', 'help'].includes(name)) return { text: generalHelp() };
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    throw new UsageError(`unknown command ${JSON.stringify(name)}`, `known are ${Object.keys(COMMANDS).join(', ')}`);
  }
  const usage = `usage: ${usageOf(name, command)}`;
  const line = parseCommandLine(rest, command.options, usage);
  if (line.help) return { text: commandHelp(name, command) };
  requirePositionals(command, line, usage);
  const said = await command.run(makeInvocation(line, process.env));
  return { ...said, text: isForPrograms(command, line) ? said.json : said.text };
}

function requirePositionals({ positionals, required }: Command, line: CommandLine, usage: string): void {
  const given = line.positionals.length;
  if (given < required) throw new UsageError(`no ${positionals[given]} given`, usage);
  if (given > positionals.length) {
    throw new UsageError(`unexpected argument ${JSON.stringify(line.positionals[positionals.length])}`, usage);
  }
  const empty = line.positionals.indexOf('');
  if (empty >= 0) throw new UsageError(`${positionals[empty]} is empty`, usage);
}

function makeInvocation({ positionals, options }: CommandLine, env: Environment): Invocation {
  const runtime = { path: pluginPathOf(env), cacheDir: CACHE_DIR, env, host: makeHost() };
  return { positionals, options, env, cwd: process.cwd(), runtime };
}

function isForPrograms({ piped }: Command, { options }: CommandLine): boolean {
  return options.json || (piped === 'json' && !isTerminal());
}
