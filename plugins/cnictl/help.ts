/** The help texts, made from the tables of commands and options, so that they cannot tell another story. */
import type { Command } from './command.ts';
import { COMMANDS } from './commands.ts';
import { OPTIONS, type OptionName } from './options.ts';

export const HINT = 'see cnictl --help';

export function generalHelp(): string {
  const commands = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(9)}${summary}`);
  const first = Object.values(COMMANDS).flatMap(({ examples }) => examples.slice(0, 1));
  return [
    'cnictl runs the CNI plugins of a network by hand, as a container runtime would, looks after leases, and',
    'shows what the plugins did last.',
    '',
    'usage: cnictl COMMAND [ARGUMENT...] [OPTION...]',
    '       cnictl COMMAND --help',
    '',
    ...commands,
    '',
    'NETWORK is the "name" in a file of /etc/cni/net.d. NETNS is the path of a network namespace, or a name that',
    '`ip netns add` gave it.',
    '',
    'Ready-to-use networks (NAT, NAT network, bridged, internal, host-only, Kubernetes node, dual stack, IPv6 only and more)',
    'and who reaches whom on each: conflist/README.md of nodecni.',
    '',
    "environment (the same as cnitool's):",
    '  NETCONFPATH  folder of the network configurations   (/etc/cni/net.d)',
    '  CNI_PATH     folders of the plugins, joined by ":"  (/opt/cni/bin)',
    '  CAP_ARGS     capability arguments, a JSON object',
    '  CNI_ARGS     arguments for the plugins, K=V;K=V',
    '  CNI_IFNAME   interface inside the container         (eth0)',
    '',
    'examples:',
    ...first.map((line) => `  ${line}`),
  ].join('\n');
}

export function commandHelp(name: string, command: Command): string {
  return [
    `cnictl ${name}: ${command.summary}`,
    '',
    `usage: ${usageOf(name, command)}`,
    '',
    command.about,
    '',
    'options:',
    ...command.options.map(optionLine),
    '',
    'examples:',
    ...command.examples.map((line) => `  ${line}`),
  ].join('\n');
}

/** `cnictl status NETWORK [NETNS] [OPTION...]` */
export function usageOf(name: string, { positionals, required }: Command): string {
  const names = positionals.map((word, index) => (index < required ? word : `[${word}]`));
  return ['cnictl', name, ...names, '[OPTION...]'].join(' ');
}

function optionLine(name: OptionName): string {
  const option = OPTIONS[name];
  const form = 'value' in option ? `--${name} ${option.value}` : `--${name}`;
  return `  ${form}\n      ${option.help}`;
}
