/** A node of paper: answers what plugins ask of `ip`, `iptables` and `nft` as a node would on which all goes well. */
import type { LinkInfo, RouteInfo } from '../../lib/iproute2/show.ts';

export const GATEWAYS = { 4: '10.0.0.1', 6: 'fd00::1' } as const;
export const BRIDGE = 'cni0';

/** A pair as `link add` made it. */
interface Pair {
  readonly hostName: string;
  readonly hostMac: string;
  readonly ifname: string;
  readonly containerMac: string;
}

export class PaperNode {
  #pair: Pair | undefined;
  /** Addresses that the container was given, with their lengths. */
  #addresses: string[] = [];
  /** By tool, the nat table: rules by chain. */
  readonly #nat: Readonly<Record<string, Map<string, readonly string[]>>> = {
    iptables: new Map(),
    ip6tables: new Map(),
  };

  /** Names of the links, on the node or in the container. */
  linkNames(place: 'node' | 'pod'): readonly string[] {
    const { hostName = undefined, ifname = undefined } = this.#pair ?? {};
    const names = place === 'node' ? ['lo', BRIDGE, hostName] : ['lo', ifname];
    return names.filter((name) => name !== undefined);
  }

  /** Stdout of a tool, which always succeeds. */
  answer(tool: string, args: readonly string[], input: string): string {
    if (tool === 'ip') return this.#ip(input.trimEnd().split('\n'));
    if (tool.endsWith('-restore')) this.#restore(tool.replace('-restore', ''), input);
    if (tool.endsWith('-save')) return this.#save(tool.replace('-save', ''));
    return tool === 'nft' && args.includes('--json') ? LISTING : '';
  }

  #ip(lines: readonly string[]): string {
    return lines.map((line) => (/^\w+ show /.test(line) ? this.#show(line) : this.#change(line))).join('');
  }

  #change(line: string): string {
    const { hostName, hostMac, ifname, containerMac } = PAIR_LINE.exec(line)?.groups ?? {};
    if (hostName !== undefined && hostMac !== undefined && ifname !== undefined && containerMac !== undefined) {
      this.#pair = { hostName, hostMac, ifname, containerMac };
    }
    const address = /^addr add (\S+) .*dev (\S+)$/.exec(line);
    if (address?.[1] !== undefined && address[2] === this.#pair?.ifname) this.#addresses.push(address[1]);
    if (/^link del/.test(line)) {
      this.#pair = undefined;
      this.#addresses = [];
    }
    return '';
  }

  #show(line: string): string {
    if (line.startsWith('route')) return `${JSON.stringify(ROUTES)}\n`;
    const name = / dev (\S+)$/.exec(line)?.[1];
    const links = name === undefined ? [] : [this.#link(name)].filter((link) => link !== undefined);
    return `${JSON.stringify(links)}\n`;
  }

  #link(name: string): LinkInfo | undefined {
    if (name === 'lo') return { ...link('lo', 1), addr_info: addressInfo(['127.0.0.1/8', '::1/128']) };
    if (name === BRIDGE) return bridge;
    if (name === this.#pair?.hostName) {
      const address = this.#pair.hostMac;
      const info_slave_data = { hairpin: true, isolated: false };
      const linkinfo = { info_kind: 'veth', info_slave_kind: 'bridge', info_slave_data };
      return { ...link(name, 3), address, link_index: 2, master: BRIDGE, linkinfo };
    }
    if (name !== this.#pair?.ifname) return undefined;
    const { containerMac: address } = this.#pair;
    const addr_info = addressInfo(this.#addresses);
    return { ...link(name, 2), address, link_index: 3, linkinfo: { info_kind: 'veth' }, addr_info };
  }

  /** What is supposed to be there (`-C`) is there. */
  #restore(tool: string, input: string): void {
    for (const line of input.split('\n')) {
      const [, command, chain = '', rule = ''] = /^-([NACI]) (\S+) ?(?:1 )?(.*)$/.exec(line) ?? [];
      if (command === undefined) continue;
      const rules = this.#nat[tool]?.get(chain) ?? [];
      this.#nat[tool]?.set(chain, rule === '' ? rules : [...rules, rule]);
    }
  }

  #save(tool: string): string {
    const chains = [...(this.#nat[tool] ?? [])];
    const names = chains.map(([chain]) => `:${chain} - [0:0]`);
    const rules = chains.flatMap(([chain, own]) => own.map((rule) => `-A ${chain} ${rule}`));
    return ['*nat', ...names, ...rules, 'COMMIT', ''].join('\n');
  }
}

const PAIR_LINE =
  /^link add name (?<hostName>\S+) address (?<hostMac>\S+) .*peer name (?<ifname>\S+) address (?<containerMac>\S+)/;

const ROUTES: readonly RouteInfo[] = [
  { dst: 'default', gateway: GATEWAYS[4], dev: 'eth0' },
  { dst: 'default', gateway: GATEWAYS[6], dev: 'eth0' },
  // flannel's, to all other nodes.
  { dst: '10.0.0.0/16', gateway: GATEWAYS[4], dev: 'eth0' },
];

function link(ifname: string, ifindex: number): LinkInfo {
  return { ifname, ifindex, flags: ['UP', 'LOWER_UP'], mtu: 1500, operstate: 'UP' };
}

function addressInfo(cidrs: readonly string[]): NonNullable<LinkInfo['addr_info']> {
  return cidrs.map((cidr) => {
    const [local = '', length = ''] = cidr.split('/');
    const scope = local.startsWith('fe80:') ? 'link' : 'global';
    return { family: local.includes(':') ? 'inet6' : 'inet', local, prefixlen: Number(length), scope };
  });
}

const bridge: LinkInfo = {
  ...link(BRIDGE, 4),
  address: '02:00:00:00:00:01',
  linkinfo: { info_kind: 'bridge' },
  addr_info: addressInfo([`${GATEWAYS[4]}/24`, `${GATEWAYS[6]}/64`, 'fe80::ff:fe00:1/64']),
};

/** A rule as `nft --json list` prints it; whose it is makes no difference to what has to be compiled. */
const LISTING = JSON.stringify({
  nftables: [
    { chain: { name: 'hostports' } },
    {
      rule: {
        chain: 'hostports',
        handle: 1,
        comment: 'id',
        expr: [
          { match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 8080 } },
          { dnat: { addr: '10.0.0.2', port: 80 } },
        ],
      },
    },
  ],
});
