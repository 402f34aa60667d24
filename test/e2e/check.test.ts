/** CHECK agrees with what ADD made, and names what is no longer so, for every single item that can be lost. */

import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bothProtocols, type Conflist, type Family, gateways, stackNetwork, stacks } from '../support/networks.ts';
import { addressesOf, chain, leases, succeed } from '../support/plugins.ts';
import { deleteRules as deleteRulesIn } from '../support/rules.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

const ports = bothProtocols(8080, 80);

interface Attachment extends AsyncDisposable {
  readonly world: World;
  readonly pod: Namespace;
  readonly conflist: Conflist;
  readonly address: string;
  readonly family: Family;
  /** Name of the link's end on the node. */
  readonly hostLink: string;
}

async function attach(families: readonly Family[], family: Family): Promise<Attachment> {
  const world = await createWorld();
  const pod = await world.pod();
  const conflist = stackNetwork(world, families, { bridge: { hairpinMode: true } });
  const { json } = await succeed(chain(world, 'add', { conflist, pod, ports }));
  const { interfaces } = json as { interfaces: { name: string }[] };
  const address = addressesOf(json).find((text) => text.includes(':') === (family === 6)) ?? '';
  const hostLink = interfaces[1]?.name ?? '';
  return { world, pod, conflist, address, family, hostLink, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
}

function check({ world, pod, conflist }: Attachment) {
  return chain(world, 'check', { conflist, pod, ports });
}

describe.each(stacks)('$stack', ({ families }) => {
  it('passes when healthy, twice', async () => {
    await using attachment = await attach(families, families[0] ?? 4);
    await succeed(check(attachment));
    await succeed(check(attachment));
  });
});

interface Breakage {
  readonly what: string;
  readonly break: (attachment: Attachment) => Promise<unknown> | unknown;
  /** What CHECK's message has to name. */
  readonly names: (attachment: Attachment) => string | RegExp;
}

const linkBreakages: Breakage[] = [
  {
    what: 'the link in the container is deleted',
    break: ({ pod }) => pod.run('ip', 'link', 'delete', 'eth0'),
    names: () => 'eth0',
  },
  {
    what: 'the link in the container is down',
    break: ({ pod }) => pod.run('ip', 'link', 'set', 'eth0', 'down'),
    names: () => 'eth0',
  },
  {
    what: 'the link in the container has another name',
    break: async ({ pod }) => {
      await pod.run('ip', 'link', 'set', 'eth0', 'down');
      await pod.run('ip', 'link', 'set', 'eth0', 'name', 'eth7');
    },
    names: () => 'eth0',
  },
  {
    what: 'the link in the container has another MAC address',
    break: ({ pod }) => pod.run('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:99'),
    names: () => 'eth0',
  },
  {
    what: 'the link on the node is down',
    break: ({ world, hostLink }) => world.node.run('ip', 'link', 'set', hostLink, 'down'),
    names: ({ hostLink }) => new RegExp(`${hostLink}|eth0`),
  },
  {
    what: 'the link on the node has left the bridge',
    break: ({ world, hostLink }) => world.node.run('ip', 'link', 'set', hostLink, 'nomaster'),
    names: () => 'cni0',
  },
  {
    what: 'hairpin mode is off',
    break: ({ world, hostLink }) => world.node.run('bridge', 'link', 'set', 'dev', hostLink, 'hairpin', 'off'),
    names: ({ hostLink }) => new RegExp(`hairpin.*${hostLink}|${hostLink}.*hairpin`, 'i'),
  },
  {
    what: 'the bridge is deleted',
    break: ({ world }) => world.node.run('ip', 'link', 'delete', 'cni0'),
    names: () => 'cni0',
  },
  {
    what: 'the bridge is down',
    break: ({ world }) => world.node.run('ip', 'link', 'set', 'cni0', 'down'),
    names: () => 'cni0',
  },
];

describe('fails, naming the object, when', () => {
  it.each(linkBreakages)('$what', (breakage) => expectNamed(breakage, [4, 6], 4));
});

const familyBreakages: Breakage[] = [
  {
    what: 'the address is removed',
    break: ({ pod, address, family }) =>
      pod.run('ip', 'address', 'del', `${address}/${family === 4 ? 24 : 64}`, 'dev', 'eth0'),
    names: ({ address }) => address,
  },
  {
    what: 'the default route is removed',
    break: ({ pod, family }) => pod.run('ip', `-${family}`, 'route', 'del', 'default'),
    names: ({ family }) => (family === 4 ? /0\.0\.0\.0\/0|default/ : /::\/0|default/),
  },
  {
    what: 'the address of the bridge is removed',
    break: ({ world, family }) =>
      world.node.run('ip', 'address', 'del', `${gateways[family]}/${family === 4 ? 24 : 64}`, 'dev', 'cni0'),
    names: ({ family }) => gateways[family],
  },
  {
    what: 'the masquerade jump is removed',
    break: (attachment) => deleteRules(attachment, /^-A POSTROUTING -s /),
    names: () => /masquerad/i,
  },
  {
    what: 'the masquerade rule is removed',
    break: (attachment) => deleteRules(attachment, /^-A CNI-[0-9a-f]{24} .*-j MASQUERADE/),
    names: () => /masquerad/i,
  },
  {
    what: 'a DNAT rule is removed',
    break: (attachment) => deleteRules(attachment, /^-A CNI-DN-.*-p tcp .*-j DNAT/),
    names: () => /8080|CNI-DN-/,
  },
  {
    what: 'the entry into the DNAT rules is removed',
    break: (attachment) => deleteRules(attachment, /^-A CNI-HOSTPORT-DNAT .*-p udp/),
    names: () => /8080|CNI-HOSTPORT-DNAT/,
  },
  {
    what: 'the DNAT jump for traffic from outside is removed',
    break: (attachment) => deleteRules(attachment, /^-A PREROUTING /),
    names: () => /PREROUTING|CNI-HOSTPORT-DNAT/,
  },
  {
    what: 'the nat table is flushed',
    break: async ({ world, family }) => {
      const tool = family === 4 ? 'iptables' : 'ip6tables';
      await world.node.run(tool, '-t', 'nat', '-F');
      await world.node.run(tool, '-t', 'nat', '-X');
    },
    names: () => /masquerad|8080|CNI-/i,
  },
  {
    what: 'the lease is removed',
    break: ({ world, address }) => rmSync(`${world.dataDir}/testnet/${address}`),
    names: ({ address, family }) =>
      family === 4 ? new RegExp(`${address.replaceAll('.', '\\.')}|cnitool-`) : /cnitool-|::/,
  },
];

describe.each([{ family: 4 as Family }, { family: 6 as Family }])(
  'IPv$family: fails, naming the object, when',
  ({ family }) => {
    it.each(familyBreakages)('$what', (breakage) => expectNamed(breakage, [family], family));
  },
);

it.each([4, 6] as const)('sees in dual stack that IPv%i alone is broken', async (family) => {
  await using attachment = await attach([4, 6], family);
  const { pod, address } = attachment;
  await pod.run('ip', 'address', 'del', `${address}/${family === 4 ? 24 : 64}`, 'dev', 'eth0');
  const ended = await check(attachment);
  expect(ended.exitCode, ended.said).toBe(1);
  expect(ended.stderr).toMatch(address);
});

async function expectNamed(breakage: Breakage, families: readonly Family[], family: Family): Promise<void> {
  await using attachment = await attach(families, family);
  await breakage.break(attachment);
  const before = leases(attachment.world);
  const ended = await check(attachment);
  expect(ended.exitCode, ended.said).toBe(1);
  expect(ended.stderr, ended.said).toMatch(breakage.names(attachment));
  expect(leases(attachment.world), 'CHECK changes nothing').toEqual(before);
}

/** Those of the attachment's family. */
function deleteRules({ world, family }: Attachment, pattern: RegExp): Promise<void> {
  return deleteRulesIn(world.node, { family, pattern });
}
