import { describe, expect, test } from 'vitest';
import { parseNetwork } from '../../../../lib/libcni/network.ts';
import { renderAttachment, renderVersions } from '../../../../plugins/cnictl/render.ts';

describe('renderAttachment()', () => {
  test('shows interfaces, addresses, routes and ports, one per line', () => {
    const attachment = {
      containerId: 'c1',
      netns: '/run/netns/blue',
      ifname: 'eth0',
      capabilityArgs: {
        portMappings: [
          { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
          { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '127.0.0.1' },
          { hostPort: 443, containerPort: 8443, hostIP: '2001:db8::1' },
        ],
      },
    };
    const result = {
      interfaces: [
        { name: 'br0', mac: '02:00:00:00:00:01' },
        { name: 'eth0', mac: '02:00:00:00:00:02', mtu: 1400, sandbox: 'x' },
      ],
      ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.1' }, { address: 'fd00::5/64' }],
      routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }, { dst: 'fd01::/64' }],
      dns: {},
    };
    expect(renderAttachment({ network: 'net1', attachment, result })).toBe(
      `
network      net1
container    c1 (/run/netns/blue)
interface    eth0  02:00:00:00:00:02  mtu 1400
on the host  br0  02:00:00:00:00:01
address      10.1.0.5/24  gateway 10.1.0.1
address      fd00::5/64
route        0.0.0.0/0  via 10.1.0.1
route        fd01::/64
port         *:8080 → 80/tcp
port         127.0.0.1:53 → 5353/udp
port         [2001:db8::1]:443 → 8443/tcp`.trimStart(),
    );
  });

  test('passes over a portMappings that is none', () => {
    const attachment = { containerId: 'c1', netns: '/x', ifname: 'eth0', capabilityArgs: { portMappings: [7, null] } };
    const result = { interfaces: [], ips: [], routes: [], dns: {} };
    expect(renderAttachment({ network: 'net1', attachment, result })).toBe('network    net1\ncontainer  c1 (/x)');
  });
});

describe('renderVersions()', () => {
  test("says which plugin does not know the network's version", () => {
    const network = parseNetwork('{"cniVersion":"1.1.0","name":"net1","plugins":[{"type":"a"},{"type":"b"}]}');
    const known = new Map([
      ['a', ['1.0.0', '1.1.0']],
      ['b', ['1.0.0']],
    ]);
    expect(renderVersions(network, known)).toBe(
      'network  net1 uses 1.1.0\na        1.0.0, 1.1.0\nb        1.0.0, not 1.1.0',
    );
  });
});
