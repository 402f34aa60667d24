/** Environments that are no call's. */

import { type BadCall, good, type Scene } from './scene.ts';

const longName = 'x'.repeat(10_000);

export const badEnvironment: BadCall[] = [
  ...['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'].map((name) => ({
    what: `no ${name}`,
    spoil: () => ({ env: { [name]: undefined } }),
    code: 4,
    names: name,
  })),
  { what: 'an empty CNI_IFNAME', spoil: () => ({ ifname: '' }), code: 4, names: 'CNI_IFNAME' },
  { what: 'an unknown command', spoil: () => ({ command: 'FOO' }), code: 4, names: 'FOO' },
  ...['a/b', '../x', '..', 'a\nb', '-a', 'a b', 'ä', longName].map((containerId) => ({
    what: `container ID ${JSON.stringify(containerId).slice(0, 20)}`,
    spoil: () => ({ containerId }),
    code: 4,
    names: /container/i,
  })),
  ...['a/b', '../x', '..', 'a\nb', 'a\0b', longName].map((name) => ({
    what: `network name ${JSON.stringify(name).slice(0, 20)}`,
    spoil: (s: Scene) => ({ config: good(s, { name }) }),
    code: 7,
    names: 'network name',
  })),
  ...['.', '..', 'a/b', 'a:b', 'a b', 'x'.repeat(16), 'ä'.repeat(8), longName].map((ifname) => ({
    what: `interface name ${JSON.stringify(ifname).slice(0, 20)}`,
    spoil: () => ({ ifname }),
    code: 4,
    names: 'interface name',
  })),
  { what: 'CNI_ARGS that are no pairs', spoil: () => ({ args: 'MAC' }), code: 4, names: 'MAC' },
  { what: 'CNI_ARGS with an unknown key', spoil: () => ({ args: 'FOO=1' }), code: 4, names: 'FOO' },
  { what: 'CNI_ARGS with a bad MAC', spoil: () => ({ args: 'MAC=zz' }), code: 4, names: 'zz' },
  { what: 'CNI_ARGS with a bad IP', spoil: () => ({ args: 'IgnoreUnknown=1;IP=foo' }), code: 4, names: 'foo' },
  ...(['bridge', 'host-local'] as const).map((plugin) => ({
    what: `an address outside of the ranges asked for (${plugin})`,
    spoil: () => ({ args: 'IgnoreUnknown=1;IP=10.99.0.1' }),
    code: 7,
    names: '10.99.0.1',
    plugin,
  })),
  {
    what: 'a namespace that is missing',
    spoil: () => ({ netns: '/run/netns/none' }),
    code: 8,
    names: '/run/netns/none',
  },
  { what: 'a namespace that is a file', spoil: () => ({ netns: '/etc/passwd' }), code: 8, names: '/etc/passwd' },
  { what: 'a namespace that is a folder', spoil: () => ({ netns: '/run/netns' }), code: 8, names: '/run/netns' },
  {
    what: 'a namespace that is another kind',
    spoil: () => ({ netns: '/proc/self/ns/mnt' }),
    code: 8,
    names: '/proc/self/ns/mnt',
  },
  { what: 'our own namespace', spoil: ({ world }) => ({ netns: world.node.path }), code: 8, names: /netns/ },
];
