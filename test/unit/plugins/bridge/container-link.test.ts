/** Taking links away: what is gone is success, what stays is told. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Result } from '../../../../lib/cni/result.ts';
import { query, renderBatch } from '../../../../lib/iproute2/batch.ts';
import { linkNames } from '../../../../lib/linux/links.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { allAddresses, containerAddresses, deleteContainerLink } from '../../../../plugins/bridge/container-link.ts';
import { link } from './fixtures.ts';

vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({
  ...(await original()),
  query: vi.fn(),
}));
vi.mock(import('../../../../lib/linux/links.ts'), () => ({ linkNames: vi.fn(), parseLinkNames: vi.fn() }));

const names = vi.mocked(linkNames);
const ask = vi.mocked(query);

beforeEach(() => {
  ask.mockReset();
  names.mockReset().mockReturnValue(new Set(['lo', 'eth0', 'veth1']));
});

describe('deleteContainerLink()', () => {
  test('deletes the link and tells its addresses, in one batch', () => {
    ask.mockReturnValue([[link('eth0', { addresses: ['10.1.0.5/24', 'fe80::1/64', 'fd00::5/64'] })]]);
    expect(deleteContainerLink('eth0').map(formatCidr)).toEqual(['10.1.0.5/24', 'fd00::5/64']);
    expect(ask.mock.calls.map(([commands]) => renderBatch(commands))).toEqual([
      'addr show dev eth0\nlink delete dev eth0\n',
    ]);
  });
  test('starts nothing for a link that is gone', () => {
    expect(deleteContainerLink('eth1')).toEqual([]);
    expect(ask).not.toHaveBeenCalled();
  });
  test('takes a link that went meanwhile for gone', () => {
    ask.mockReturnValue([]);
    expect(deleteContainerLink('eth0')).toEqual([]);
  });
});

test('allAddresses() are those of every link', () => {
  ask.mockReturnValue([[link('lo', { addresses: ['127.0.0.1/8'] }), link('eth1', { addresses: ['10.2.0.5/24'] })]]);
  expect(allAddresses().map(formatCidr)).toEqual(['127.0.0.1/8', '10.2.0.5/24']);
});

describe('containerAddresses()', () => {
  const interfaces = [
    { name: 'cni0' },
    { name: 'eth0', sandbox: '/a' },
    { name: 'eth1', sandbox: '/a' },
    { name: 'eth0' },
  ];
  const addresses = (ips: Result['ips']) =>
    containerAddresses({ interfaces, ips, routes: [], dns: {} }, 'eth0').map(formatCidr);

  test.each([
    ['of the interface', { interface: 1 }, true],
    ['of no interface', {}, true],
    ['of an interface that is not listed', { interface: 9 }, true],
    ['of another interface', { interface: 2 }, false],
    ['of the bridge', { interface: 0 }, false],
    ["of one of the host's with the same name", { interface: 3 }, false],
  ])('%s: %j is %s', (_what, index, expected) => {
    expect(addresses([{ address: '10.1.0.5/24', ...index }])).toEqual(expected ? ['10.1.0.5/24'] : []);
  });
  test('are none without a result', () => {
    expect(containerAddresses(undefined, 'eth0')).toEqual([]);
  });
});
