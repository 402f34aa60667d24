/** Which firewalls drop what a bridge forwards. */

import { describe, expect, test } from 'vitest';
import {
  filterOfTable,
  forwardsAreDropped,
  parseDroppingChains,
  parseFilterTable,
} from '../../../../plugins/bridge/forward-policy.ts';
import { cidr } from './fixtures.ts';

const networks = [cidr('10.7.0.1/24')];

describe('the filter table of iptables', () => {
  const save = (...rules: string[]) => ['*filter', ':INPUT ACCEPT [0:0]', ':FORWARD DROP [3:4]', ...rules].join('\n');
  const dropped = (...rules: string[]) => {
    const filter = parseFilterTable(save(...rules), 4);
    return filter === undefined ? undefined : forwardsAreDropped(filter, 'cni0', networks);
  };

  test('does no harm where its policy is to accept', () => {
    expect(parseFilterTable('*filter\n:FORWARD ACCEPT [0:0]\n', 4)).toBeUndefined();
    expect(parseFilterTable('', 4)).toBeUndefined();
  });

  test.each([
    ['nothing', [], true],
    ['Docker', ['-A FORWARD -o docker0 -j ACCEPT', '-A FORWARD -j DOCKER-USER'], true],
    ['what is established', ['-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'], true],
    ['marked packets', ['-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT'], true],
    ['another network', ['-A FORWARD -s 10.8.0.0/16 -j ACCEPT'], true],
    ['the way in', ['-A INPUT -i cni0 -j ACCEPT'], true],
    ['a drop of its own', ['-A FORWARD -i cni0 -j DROP'], true],
    ['the bridge', ['-A FORWARD -i cni0 -j ACCEPT'], false],
    ['all such bridges', ['-A FORWARD -i cni+ -j ACCEPT'], false],
    [
      'its network, as flannel does',
      ['-A FLANNEL-FWD -s 10.0.0.0/8 -m comment --comment "flanneld forward" -j ACCEPT'],
      false,
    ],
    ['everything', ['-A FORWARD -j ACCEPT'], false],
  ])('that accepts %s', (_what, rules, expected) => {
    expect(dropped(...rules)).toBe(expected);
  });

  test('tells how to let the bridge through, in the family’s tool', () => {
    expect(parseFilterTable(save(), 6)?.fixes('cni0')).toEqual([
      'ip6tables -I FORWARD -i cni0 -j ACCEPT',
      'ip6tables -I FORWARD -o cni0 -j ACCEPT',
    ]);
  });
});

describe('chains of nftables', () => {
  const chains = `table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
}
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
	}
}
table ip6 mine {
	chain first {
		type filter hook forward priority -5; policy drop;
	}
}
`;
  const found = parseDroppingChains(chains);

  test('that drop what is forwarded are found', () => {
    expect(found).toEqual([
      { table: 'inet filter', chain: 'forward' },
      { table: 'ip6 mine', chain: 'first' },
    ]);
  });

  test.each([
    ['\t\tct state established,related accept', true],
    ['\t\tiifname "docker0" accept', true],
    ['\t\tiifname "cni0" counter packets 0 bytes 0 accept', false],
    ['\t\tiifname { "eth0", "cni0" } accept', false],
    ['\t\toifname "cni*" accept', false],
    ['\t\tip saddr 10.7.0.0/16 accept', false],
    ['\t\tip daddr 10.7.0.9 accept', false],
    ['\t\tcounter packets 1 bytes 2 accept', false],
    ['\t\taccept', false],
    ['\t\ttype filter hook forward priority filter; policy accept;', true],
  ])('with the rule "%s"', (rule, expected) => {
    const filter = filterOfTable({ table: 'inet filter', chain: 'forward' }, `table inet filter {\n${rule}\n}`);
    expect(forwardsAreDropped(filter, 'cni0', networks)).toBe(expected);
    expect(filter.families).toEqual([4, 6]);
  });
});
