/** What goes with the dead and, above all, what stays of the living. */

import { describe, expect, test } from 'vitest';
import { hostportRules } from '../../../../lib/nft/hostports.ts';
import { masqueradeComment } from '../../../../lib/nft/masquerades.ts';
import type { NftRule } from '../../../../lib/nft/nft.ts';
import { type Claim, type DeadRules, deadHostports, deadMasquerades } from '../../../../lib/nft/owned-plan.ts';

function numbered(rules: readonly Omit<NftRule, 'handle'>[]): NftRule[] {
  return rules.map((rule, index) => ({ ...rule, handle: index + 1 }));
}

const NOTHING: DeadRules = { addresses: [], owners: [], networks: ['net1'] };
const handles = (rules: readonly NftRule[]) => rules.map(({ handle }) => handle);

describe('deadMasquerades()', () => {
  const masqueraded = (network: string, containerId: string, ifname: string, address: string) => ({
    chain: 'masq_checks',
    comment: masqueradeComment({ network, ifname, containerId }),
    text: `ip saddr ${address} ip daddr != 10.1.0.0/24 masquerade`,
  });
  const rules = numbered([
    masqueraded('net1', 'one', 'eth0', '10.1.0.5'),
    masqueraded('net1', 'one', 'net1', '10.1.0.6'),
    masqueraded('net1', 'two', 'eth0', '10.1.0.7'),
    masqueraded('net2', 'one', 'eth0', '10.1.0.5'),
    { chain: 'masq_checks', comment: 'by hand', text: 'ip saddr 10.1.0.5 ip daddr != 10.1.0.0/24 masquerade' },
  ]);

  test.each<[string, Partial<DeadRules>, number[]]>([
    ['nobody', {}, []],
    ['an address, on its network only', { addresses: ['10.1.0.5'] }, [1]],
    ['a whole container, with all its interfaces', { owners: [{ network: 'net1', containerId: 'one' }] }, [1, 2]],
    ['a container of another network', { owners: [{ network: 'net2', containerId: 'one' }], networks: ['net2'] }, [4]],
    ['a container nobody knows', { owners: [{ network: 'net1', containerId: 'six' }] }, []],
  ])('of %s', (_, dead, gone) => {
    expect(handles(deadMasquerades({ ...NOTHING, ...dead }, rules))).toEqual(gone);
  });
});

describe('deadHostports()', () => {
  const rules = hostportRules({
    chains: new Set(),
    rules: numbered([
      { chain: 'hostports', comment: 'one', text: 'tcp dport 8080 dnat to 10.1.0.5:80' },
      { chain: 'masquerading', comment: 'one', text: 'ip saddr 127.0.0.1 ip daddr 10.1.0.5 masquerade' },
      { chain: 'hostports', comment: 'one', text: 'tcp dport 8080 dnat to 10.2.0.5:80' },
      { chain: 'hostports', comment: 'two', text: 'ip daddr 192.0.2.1 udp dport 53 dnat to 10.1.0.7:53' },
      { chain: 'hostip_hostports', comment: 'old', text: 'tcp dport 1 dnat to 10.1.0.5:80' },
      { chain: 'hostports', comment: 'six', text: 'tcp dport 8080 dnat to [fd00::5]:80' },
      { chain: 'prerouting', comment: 'one', text: 'jump hostports_all' },
      { chain: 'hostports', comment: 'one', text: 'tcp dport 9 counter packets 0 bytes 0' },
    ]),
  });
  const one = { network: 'net1', containerId: 'one' };
  const claim = (network: string, containerId: string, ...addresses: string[]): Claim => ({
    network,
    containerId,
    addresses,
  });

  test.each<[string, Partial<DeadRules>, Claim[], number[]]>([
    ['nobody', {}, [], []],
    ['an address, whoever had it', { addresses: ['10.1.0.5'] }, [], [1, 2, 5]],
    ['an IPv6 address', { addresses: ['fd00::5'] }, [], [6]],
    ['a container that only its record knows', { owners: [one] }, [claim('net1', 'one', '10.1.0.5')], [1, 2]],
    ['a container without record and address: nobody knows of which network', { owners: [one] }, [], []],
    [
      'a container that lives on another network',
      { owners: [one] },
      [claim('net1', 'one', '10.1.0.5'), claim('net2', 'one', '10.2.0.5')],
      [1, 2],
    ],
    [
      'an address that a container has on another network, too',
      { addresses: ['10.1.0.5'] },
      [claim('net2', 'one', '10.1.0.5')],
      [5],
    ],
  ])('of %s', (_, dead, claims, gone) => {
    expect(handles(deadHostports({ ...NOTHING, ...dead }, claims, rules))).toEqual(gone);
  });
});
