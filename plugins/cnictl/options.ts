/** The command line: which command, which arguments, which options; what a command takes is in ./commands.ts. */
import { parseArgs } from 'node:util';
import { UsageError } from './usage-error.ts';

/** Every option there is. A command lists those it takes. */
export const OPTIONS = {
  port: {
    type: 'string',
    multiple: true,
    value: '[IP:]HOST:CONTAINER[/PROTO]',
    help: 'publish a container port on the host (may be given several times; tcp unless said)',
  },
  ip: { type: 'string', multiple: true, value: 'ADDRESS', help: 'ask for this address (once per family)' },
  ifname: {
    type: 'string',
    value: 'NAME',
    help: 'interface inside the container (else CNI_IFNAME, else eth0; for release: else all of them)',
  },
  'container-id': { type: 'string', value: 'ID', help: "container ID (else made from NETNS's path, as cnitool does)" },
  'data-dir': {
    type: 'string',
    value: 'FOLDER',
    help: "where the networks' leases are (else the configuration's ipam.dataDir, else /var/lib/cni/networks)",
  },
  container: { type: 'string', value: 'ID', help: 'only calls for this container (its first characters will do)' },
  'dry-run': { type: 'boolean', help: 'say what would be freed and why; change nothing' },
  json: { type: 'boolean', help: 'JSON on stdout, also on a terminal' },
} as const;

export type OptionName = keyof typeof OPTIONS;

export interface ParsedOptions {
  readonly port: readonly string[];
  readonly ip: readonly string[];
  readonly ifname?: string | undefined;
  readonly containerId?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly container?: string | undefined;
  readonly dryRun: boolean;
  readonly json: boolean;
}

export interface CommandLine {
  readonly positionals: readonly string[];
  readonly options: ParsedOptions;
  readonly help: boolean;
}

/** `args` after the command's name. Options may stand anywhere. Throws UsageError for one that is not in `known`. */
export function parseCommandLine(args: readonly string[], known: readonly OptionName[], hint: string): CommandLine {
  const accepted = Object.fromEntries(known.map((name) => [name, OPTIONS[name]]));
  const config = { ...accepted, help: { type: 'boolean', short: 'h' } } as const;
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: config, allowPositionals: true });
    return { positionals, options: pick(values), help: values.help === true };
  } catch (error) {
    // Node says in its first sentence which option it is, then goes on about `--`.
    const [sentence = 'cannot read the command line'] = (error as Error).message.split('. ');
    throw new UsageError(lowerFirst(sentence), hint);
  }
}

type Values = { readonly [name: string]: unknown };

function pick(values: Values): ParsedOptions {
  const text = (name: OptionName) => values[name] as string | undefined;
  const texts = (name: OptionName) => (values[name] ?? []) as readonly string[];
  return {
    port: texts('port'),
    ip: texts('ip'),
    ifname: text('ifname'),
    containerId: text('container-id'),
    dataDir: text('data-dir'),
    container: text('container'),
    dryRun: values['dry-run'] === true,
    json: values.json === true,
  };
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
