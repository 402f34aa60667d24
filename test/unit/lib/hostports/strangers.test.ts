/** Rules without a record, read back from either firewall. */

import { describe, expect, test } from 'vitest';
import { dnatChain } from '../../../../lib/hostports/rules.ts';
import { elementsOf } from '../../../../lib/hostports/sets-elements.ts';
import { holdingsOf, strangersInNat, strangersInNft, strangersInSets } from '../../../../lib/hostports/strangers.ts';
import { parseNat } from '../../../../lib/iptables/nat.ts';
import type { HostportRule } from '../../../../lib/nft/hostports.ts';
import { masqueradeComment } from '../../../../lib/nft/masquerades.ts';
import { dualStack, forwarding, mapping } from './fixtures.ts';

const owner = { network: 'test', containerId: '1234' };
const chain = dnatChain(owner);

/** As the reference 1.9.1 writes it, in the text of iptables-save. */
const table = parseNat(`:CNI-HOSTPORT-DNAT - [0:0]
:${chain} - [0:0]
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"test\\" id: \\"1234\\"" -m multiport --dports 8080,8081 -j ${chain}
-A ${chain} -s 10.88.0.0/16 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.5:80
-A ${chain} -d 192.0.2.1/32 -p udp -m udp --dport 53 -j DNAT --to-destination 10.88.0.5:5353
-A ${chain} -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.88.0.6:81
`);

describe('strangersInNat()', () => {
  test('gives each address of a container its own mappings', () => {
    const found = strangersInNat(table, 4, new Set());
    expect(found).toMatchObject([
      { ...owner, backend: 'iptables', targets: { 4: '10.88.0.5/32' } },
      { ...owner, backend: 'iptables', targets: { 4: '10.88.0.6/32' } },
    ]);
    expect(found[0]?.mappings).toEqual([
      mapping(8080, { hostIp: '0.0.0.0' }),
      mapping(53, { protocol: 'udp', hostIp: '192.0.2.1', containerPort: 5353 }),
    ]);
  });

  test('passes over those that have a record', () => {
    expect(strangersInNat(table, 4, new Set([chain]))).toEqual([]);
  });

  test('passes over a chain whose comment does not say whose it is', () => {
    const other = parseNat(
      [...table]
        .map(([name, rules]) => rules.map((rule) => `-A ${name} ${rule}`).join('\n'))
        .join('\n')
        .replace('1234', '12'),
    );
    expect(strangersInNat(other, 4, new Set())).toEqual([]);
  });

  test('reads IPv6', () => {
    const six = parseNat(`:CNI-HOSTPORT-DNAT - [0:0]
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"test\\" id: \\"1234\\"" -m multiport --dports 8080 -j ${chain}
-A ${chain} -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:88::5]:80
`);
    expect(strangersInNat(six, 6, new Set())).toMatchObject([
      { targets: { 6: 'fd00:88::5/128' }, mappings: [mapping(8080, { hostIp: '::' })] },
    ]);
  });
});

describe('strangersInNft()', () => {
  const rules: HostportRule[] = [
    {
      chain: 'hostports',
      handle: 1,
      comment: '1234',
      target: '10.88.0.5',
      text: 'tcp dport 8080 dnat to 10.88.0.5:80',
    },
    {
      chain: 'hostports',
      handle: 2,
      comment: '1234',
      target: '10.88.0.5',
      text: 'ip daddr 192.0.2.1 udp dport 53 dnat to 10.88.0.5:53',
    },
    { chain: 'hostports', handle: 3, comment: '', target: '10.88.0.7', text: 'tcp dport 8081 dnat to 10.88.0.7:80' },
    {
      chain: 'masquerading',
      handle: 4,
      comment: '1234',
      target: '10.88.0.5',
      text: 'ip saddr 127.0.0.1 ip daddr 10.88.0.5 masquerade',
    },
  ];

  test('reads ports by container and address', () => {
    expect(strangersInNft(rules, 4, new Set())).toMatchObject([
      {
        network: '',
        containerId: '1234',
        backend: 'nftables',
        targets: { 4: '10.88.0.5/32' },
        mappings: [
          mapping(8080, { hostIp: '0.0.0.0' }),
          mapping(53, { protocol: 'udp', hostIp: '192.0.2.1', containerPort: 53 }),
        ],
      },
    ]);
  });

  test('passes over those that have a record', () => {
    expect(strangersInNft(rules, 4, new Set(holdingsOf(forwarding())))).toEqual([]);
    expect(holdingsOf(forwarding(dualStack))).toHaveLength(2);
  });
});

describe('strangersInSets()', () => {
  const mappings = [mapping(8080, { hostIp: '0.0.0.0' }), mapping(53, { protocol: 'udp', hostIp: '192.0.2.1' })];
  const lost = forwarding({ backend: 'sets', mappings, masqAll: true });

  test('gives what its elements were made from, so that they can be removed', () => {
    const [found, ...others] = strangersInSets(elementsOf(lost), new Set());
    expect(others).toEqual([]);
    expect(found).toMatchObject({
      network: 'test',
      containerId: '1234',
      ifname: 'eth0',
      targets: { 4: '10.88.0.5/32' },
    });
    expect(elementsOf(found ?? forwarding())).toEqual(elementsOf(lost));
  });

  test('gives each family on its own', () => {
    const found = strangersInSets(elementsOf(forwarding(dualStack)), new Set());
    expect(found.map(({ targets }) => targets)).toEqual([{ 4: '10.88.0.5/32' }, { 6: 'fd00:88::5/128' }]);
  });

  test('passes over those that have a record, and those whose comment is cut', () => {
    expect(strangersInSets(elementsOf(lost), new Set([masqueradeComment(lost)]))).toEqual([]);
    expect(strangersInSets(elementsOf({ ...lost, network: 'n'.repeat(90) }), new Set())).toEqual([]);
  });
});
