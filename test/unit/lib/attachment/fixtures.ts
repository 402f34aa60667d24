/** A record and a host that sees nothing of it: every test changes what it is about. */
import type { Observed } from '../../../../lib/attachment/liveness.ts';
import type { AttachmentRecord } from '../../../../lib/attachment/record.ts';

export function makeRecord(over: Partial<AttachmentRecord> = {}): AttachmentRecord {
  return {
    version: 1,
    state: 'added',
    plugin: 'bridge',
    network: 'net1',
    containerId: 'c1',
    ifname: 'eth0',
    leases: [{ address: '10.1.0.5', inode: '12', mtimeNs: '34', ctimeNs: '56' }],
    addresses: ['10.1.0.5/24'],
    bootId: 'this-boot',
    machineId: 'this-machine',
    hostNetns: '3',
    containerNetns: '77',
    netnsPath: '/run/netns/pod',
    hostLink: { name: 'veth1', mac: '02:00:00:00:00:01' },
    firewall: 'iptables',
    timeMs: 0,
    bootMs: 1_000_000,
    ...over,
  };
}

export function seen(over: Partial<Observed> = {}): Observed {
  return {
    bootId: 'this-boot',
    machineId: 'this-machine',
    hostNetns: '3',
    isLocal: true,
    sinceBootMs: 9_000_000,
    bootTimeMs: 1_000_000_000,
    minAgeMs: 600_000,
    links: () => ({ names: new Set(['lo', 'cni0']), macs: new Set(['00:00:00:00:00:00']) }),
    cookieAt: () => '',
    namespaces: () => ({ cookies: new Set(['3']), addresses: new Set(['10.1.0.1']) }),
    cachedSandbox: () => 'none',
    ...over,
  };
}
