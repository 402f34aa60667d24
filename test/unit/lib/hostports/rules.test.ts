/** The rules as text: what the reference v1.9.1 leaves in iptables-save for the same configuration. */

import { describe, expect, test } from 'vitest';
import { type Forwarding, targetsOf } from '../../../../lib/hostports/forwarding.ts';
import { planUsualAdd, planUsualRemoval } from '../../../../lib/hostports/plan.ts';
import { type FamilyRules, rulesOf } from '../../../../lib/hostports/rules.ts';
import { optionOf } from '../../../../lib/iptables/rule.ts';
import { dualStack, forwarding, mapping } from './fixtures.ts';

const CHAIN = 'CNI-DN-2bbe0c48b91a7d1b8a675';
const NOTE = '-m comment --comment "dnat name: \\"test\\" id: \\"1234\\""';

test('one port, IPv4: the whole transaction of a usual ADD and of its DEL', () => {
  const wanted = rulesOf(forwarding(), 4) as FamilyRules;
  expect(planUsualAdd(wanted)).toEqual([
    '-C CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
    '-C CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
    '-C POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
    '-C PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-C OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    `-N ${CHAIN}`,
    `-A ${CHAIN} -s 10.88.0.0/16 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
    `-A ${CHAIN} -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
    `-A ${CHAIN} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.5:80`,
    `-A CNI-HOSTPORT-DNAT -p tcp ${NOTE} -m multiport --dports 8080 -j ${CHAIN}`,
  ]);
  expect(planUsualRemoval(wanted)).toEqual([
    `-D CNI-HOSTPORT-DNAT -p tcp ${NOTE} -m multiport --dports 8080 -j ${CHAIN}`,
    `-D ${CHAIN} -s 10.88.0.0/16 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
    `-D ${CHAIN} -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK`,
    `-D ${CHAIN} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.5:80`,
    `-X ${CHAIN}`,
  ]);
});

test('one port, IPv6: bracketed, and nothing for the loopback address', () => {
  expect(rulesOf(forwarding(dualStack), 6)?.mappings).toEqual([
    {
      marks: ['-s fd00:88::/64 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK'],
      dnat: '-p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:88::5]:80',
    },
  ]);
});

test('a family without an address has no rules', () => {
  expect(rulesOf(forwarding(), 6)).toBeUndefined();
});

describe('hostIP', () => {
  const mappings = [mapping(8080, { hostIp: '192.0.2.1' }), mapping(8081, { hostIp: '::' }), mapping(8082)];
  const both = { ...dualStack, mappings };
  const dnat = (family: 4 | 6) => rulesOf(forwarding(both), family)?.mappings.map((rules) => rules.dnat);

  test('narrows down its own family, leaves out the other; an unspecified one narrows nothing down', () => {
    expect(dnat(4)).toEqual([
      '-d 192.0.2.1/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.5:80',
      '-p tcp -m tcp --dport 8082 -j DNAT --to-destination 10.88.0.5:80',
    ]);
    expect(dnat(6)).toEqual([
      '-p tcp -m tcp --dport 8081 -j DNAT --to-destination [fd00:88::5]:80',
      '-p tcp -m tcp --dport 8082 -j DNAT --to-destination [fd00:88::5]:80',
    ]);
  });

  test('stands before the source in the kernel and after it in the text', () => {
    expect(rulesOf(forwarding(both), 4)?.mappings[0]?.marks[0]).toBe(
      '-s 10.88.0.0/16 -d 192.0.2.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK',
    );
  });
});

describe('masquerading', () => {
  const marks = (over: Partial<Forwarding>) => rulesOf(forwarding(over), 4)?.mappings[0]?.marks;
  const shared = (over: Partial<Forwarding>) => rulesOf(forwarding(over), 4)?.sharedRules.map(({ rule }) => rule);

  test('snat false: no marks and only the way to the containers is shared', () => {
    expect(marks({ snat: false })).toEqual([]);
    expect(rulesOf(forwarding({ snat: false }), 4)?.sharedChains).toEqual(['CNI-HOSTPORT-DNAT']);
    expect(shared({ snat: false })).toHaveLength(2);
  });

  test('masqAll: one mark for every source', () => {
    expect(marks({ masqAll: true })).toEqual(['-p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK']);
  });

  test.each([
    [0, '0x1/0x1'],
    [31, '0x80000000/0x80000000'],
  ])('markMasqBit %i', (markMasqBit, bits) => {
    expect(shared({ markMasqBit })).toContain(`-m mark --mark ${bits} -j MASQUERADE`);
    expect(shared({ markMasqBit })?.[0]).toContain(`-j MARK --set-xmark ${bits}`);
  });

  test('externalSetMarkChain marks instead of ours', () => {
    const over = { externalSetMarkChain: 'KUBE-MARK-MASQ' };
    expect(marks(over)?.[0]).toMatch(/ -j KUBE-MARK-MASQ$/);
    expect(rulesOf(forwarding(over), 4)?.sharedChains).toEqual(['CNI-HOSTPORT-DNAT']);
  });
});

describe('entries', () => {
  const entries = (over: Partial<Forwarding>) => rulesOf(forwarding(over), 4)?.entries.map(({ rule }) => rule);

  test('at most 15 ports in one, in the order of the mappings', () => {
    const mappings = Array.from({ length: 17 }, (_, index) => mapping(9000 - index));
    expect(entries({ mappings })?.map((rule) => /--dports (\S+)/.exec(rule)?.[1])).toEqual([
      '9000,8999,8998,8997,8996,8995,8994,8993,8992,8991,8990,8989,8988,8987,8986',
      '8985,8984',
    ]);
  });

  test('by protocol as spelled, sorted, also for mappings of the other family', () => {
    const mappings = [
      mapping(53, { protocol: 'udp', spelling: 'UDP' }),
      mapping(1, { hostIp: '::1' }),
      mapping(9, { protocol: 'sctp' }),
      mapping(54, { protocol: 'udp' }),
    ];
    expect(entries({ mappings })?.map((rule) => rule.replace(NOTE, '…'))).toEqual([
      `-p udp … -m multiport --dports 53 -j ${CHAIN}`,
      `-p sctp … -m multiport --dports 9 -j ${CHAIN}`,
      `-p tcp … -m multiport --dports 1 -j ${CHAIN}`,
      `-p udp … -m multiport --dports 54 -j ${CHAIN}`,
    ]);
  });

  test('carry a comment of at most 255 bytes, cut like that of the reference', () => {
    const [rule = ''] = entries({ network: 'n'.repeat(190), containerId: 'c'.repeat(100) }) ?? [];
    const text = optionOf(rule, '--comment') ?? '';
    expect(text).toHaveLength(255);
    expect(text).toMatch(/^dnat name: "n{190}" id: "c+\.\.$/);
  });

  test('conditions of the family stand before the jump, quoted', () => {
    const conditions = { 4: ['!', '-d', '192.0.2.0/24', '-m', 'comment', '--comment', 'a b'], 6: ['-i', 'eth7'] };
    expect(entries({ conditions })?.[0]).toBe(
      `-p tcp ${NOTE} -m multiport --dports 8080 "!" -d 192.0.2.0/24 -m comment --comment "a b" -j ${CHAIN}`,
    );
  });
});

describe('targetsOf()', () => {
  const interfaces = [
    { name: 'cni0' },
    { name: 'eth0', sandbox: '/run/netns/a' },
    { name: 'eth1', sandbox: '/run/netns/a' },
  ];
  const targets = (...ips: { address: string; interface?: number }[]) =>
    targetsOf({ interfaces, ips, routes: [], dns: {} }, 'eth0');

  test('takes the first of each family', () => {
    expect(targets({ address: '10.0.0.5/24' }, { address: '10.0.0.6/24' }, { address: 'fd00::5/64' })).toEqual({
      4: '10.0.0.5/24',
      6: 'fd00::5/64',
    });
  });

  test('leaves out addresses of other interfaces, but not of unknown ones', () => {
    expect(targets({ address: '10.0.0.4/24', interface: 0 }, { address: '10.0.0.6/24', interface: 2 })).toEqual({});
    expect(targets({ address: '10.0.0.6/24', interface: 2 }, { address: '10.0.0.5/24', interface: 1 })).toEqual({
      4: '10.0.0.5/24',
    });
    expect(targets({ address: '10.0.0.7/24', interface: 9 })).toEqual({ 4: '10.0.0.7/24' });
  });
});
