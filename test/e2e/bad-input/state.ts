/** Nodes on which the call cannot be done. */

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { mixedBin, ours } from '../../support/plugins.ts';
import { must } from '../../support/process.ts';
import { breakTools } from '../../support/tools.ts';
import { type BadCall, good, ipam, mapped, prevResult, type Scene } from './scene.ts';

export const badState: BadCall[] = [
  {
    what: 'an interface of that name in the container',
    prepare: ({ pod }) => pod.run('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other'),
    code: 101,
    names: 'eth0',
  },
  {
    what: 'a bridge name that belongs to something else',
    prepare: ({ world }) => world.node.run('ip', 'link', 'add', 'cni0', 'type', 'veth', 'peer', 'name', 'other'),
    code: 101,
    names: /cni0.*not a bridge/,
  },
  {
    what: 'a bridge with another address and a living port',
    prepare: async ({ world }) => {
      const ip = (...words: string[]) => world.node.run('ip', ...words);
      await ip('link', 'add', 'cni0', 'type', 'bridge');
      await ip('address', 'add', '10.99.0.1/24', 'dev', 'cni0');
      await ip('link', 'add', 'port0', 'master', 'cni0', 'up', 'type', 'veth', 'peer', 'name', 'port1');
      await ip('link', 'set', 'port1', 'up');
    },
    code: 101,
    names: '10.99.0.1',
  },
  ...(['bridge', 'host-local'] as const).flatMap((plugin) => [
    {
      what: `a range that is full (${plugin})`,
      prepare: ({ world }: Scene) => world.lease('10.7.0.2', 'another'),
      spoil: (s: Scene) => ({ config: ipam(s, { ranges: [[{ subnet: '10.7.0.0/30' }]] }) }),
      code: 100,
      names: '10.7.0.',
      plugin,
    },
    {
      what: `a requested address that is taken (${plugin})`,
      prepare: ({ world }: Scene) => world.lease('10.7.0.9', 'another'),
      spoil: () => ({ args: 'IgnoreUnknown=1;IP=10.7.0.9' }),
      code: 101,
      names: '10.7.0.9',
      plugin,
    },
    {
      what: `a lease that the attachment already has (${plugin})`,
      prepare: ({ world }: Scene) => world.lease('10.7.0.9', 'container1'),
      code: 101,
      names: '10.7.0.9',
      plugin,
    },
    {
      what: `a data folder that is a file (${plugin})`,
      prepare: async ({ world }: Scene) => writeFileSync(`${world.folder}/file`, ''),
      spoil: (s: Scene) => ({ config: ipam(s, { dataDir: `${s.world.folder}/file` }) }),
      code: 5,
      names: '/file',
      plugin,
    },
    {
      what: `a data folder on a read-only file system (${plugin})`,
      prepare: (s: Scene) => mountTmpfs(s, 'ro'),
      spoil: (s: Scene) => ({ config: ipam(s, { dataDir: `${s.world.folder}/small` }) }),
      code: 5,
      names: '/small',
      plugin,
    },
    {
      what: `a data folder on a full file system (${plugin})`,
      prepare: async (s: Scene) => {
        await mountTmpfs(s, 'size=16k');
        await must(['bash', '-c', 'cat /dev/zero >"$1" 2>/dev/null || true', 'sh', `${s.world.folder}/small/ballast`]);
      },
      spoil: (s: Scene) => ({ config: ipam(s, { dataDir: `${s.world.folder}/small` }) }),
      code: 5,
      names: '/small',
      plugin,
    },
  ]),
];

function mountTmpfs({ world }: Scene, options: string): Promise<string> {
  mkdirSync(`${world.folder}/small`);
  return must(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', `${world.folder}/small`]);
}

export const badIpam: BadCall[] = [
  { what: 'an IPAM plugin that is missing', script: undefined, names: /nowhere/, type: 'nowhere' },
  { what: 'an IPAM plugin named by a path', script: undefined, names: /\.\.\/nowhere/, type: '../nowhere', code: 7 },
  { what: 'an IPAM plugin that crashes', script: 'kill -SEGV $$', names: /SIGSEGV/ },
  { what: 'an IPAM plugin that prints garbage', script: 'echo "{"', names: /no JSON/ },
  { what: 'an IPAM plugin that hangs', script: 'sleep 600', names: /1 s/ },
  { what: 'an IPAM plugin that is no program', script: '', names: /./, mode: 0o644 },
].map(({ what, script, names, type = 'fake-ipam', code = 104, mode = 0o755 }) => ({
  what,
  prepare: async () => {},
  spoil: (s: Scene) => {
    const bin = mixedBin(s.world, 'ipam', { bridge: s.bin ?? ours });
    if (script !== undefined) {
      writeFileSync(`${bin}/${type}`, `#!/bin/bash\ncat >/dev/null\n[ "$CNI_COMMAND" = ADD ] || exit 0\n${script}\n`);
      chmodSync(`${bin}/${type}`, mode);
    }
    return { bin, config: good(s, { ipam: { type }, ipamTimeoutSeconds: 1 }) };
  },
  code,
  names,
}));

export const badTools: BadCall[] = (
  [
    ['ip is missing', { fault: 'missing', tools: ['ip'] }, 'bridge', /cannot find ip.*iproute2/],
    ['ip fails', { fault: 'fail', tools: ['ip'] }, 'bridge', /broken by the test/],
    ['ip fails half-way', { fault: 'half', tools: ['ip'] }, 'bridge', /broken by the test/],
    [
      'both firewalls are missing',
      { fault: 'missing', tools: ['iptables', 'nft'] },
      'bridge',
      /neither iptables nor nftables.*install the package/,
    ],
    ['iptables fails', { fault: 'fail', tools: ['iptables-restore'] }, 'bridge', /broken by the test/],
    [
      'both firewalls are missing',
      { fault: 'missing', tools: ['iptables', 'nft'] },
      'portmap',
      /neither iptables nor nftables.*install the package/,
    ],
    ['iptables fails', { fault: 'fail', tools: ['iptables-restore'] }, 'portmap', /broken by the test/],
    ['ip is missing', { fault: 'missing', tools: ['ip'] }, 'loopback', /cannot find ip.*iproute2/],
  ] as const
).map(([what, broken, plugin, names]) => ({
  what: `${what} (${plugin})`,
  prepare: async ({ pod }) => {
    if (plugin === 'loopback') await pod.run('ip', 'link', 'set', 'lo', 'down');
  },
  spoil: (s) => ({
    wrap: breakTools(s.world, broken).wrap,
    ...(plugin === 'portmap' ? { config: mapped(s, {}, { prevResult: { ...prevResult } }) } : {}),
    ...(plugin === 'loopback' ? { ifname: 'lo' } : {}),
  }),
  code: 102,
  names,
  plugin,
}));
