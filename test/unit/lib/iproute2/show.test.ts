import { expect, test, vi } from 'vitest';
import { run } from '../../../../lib/exec.ts';
import { query } from '../../../../lib/iproute2/batch.ts';
import { givenAddresses, showLink, showLinks, showPorts, showPortVlans } from '../../../../lib/iproute2/show.ts';

vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({ ...(await original()), query: vi.fn() }));
vi.mock(import('../../../../lib/exec.ts'), async (original) => ({ ...(await original()), run: vi.fn() }));
const ask = vi.mocked(query);

test('showLinks() asks for all links in one query and leaves out those that do not exist', () => {
  ask.mockReturnValueOnce([[{ ifname: 'cni0' }], [{ ifname: 'veth1' }]]);
  expect(showLinks(['cni0', 'gone', 'veth1']).map(({ ifname }) => ifname)).toEqual(['cni0', 'veth1']);
  expect(ask).toHaveBeenLastCalledWith(
    ['cni0', 'gone', 'veth1'].map((name) => ['addr', 'show', 'dev', name]),
    { details: true },
  );
});

test('showLink() is undefined for a link that does not exist', () => {
  ask.mockReturnValueOnce([]);
  expect(showLink('cni0')).toBeUndefined();
});

test('showPorts() leaves out what old versions of ip print for links that they filter out', () => {
  ask.mockReturnValueOnce([[{}, { ifname: 'veth1', master: 'cni0' }, { ifname: 'veth2', master: 'cni1' }]]);
  expect(showPorts('cni0').map(({ ifname }) => ifname)).toEqual(['veth1']);
  ask.mockReturnValueOnce([]);
  expect(showPorts('cni0')).toEqual([]);
});

test('showPortVlans() tells VLANs by port', () => {
  vi.mocked(run).mockReturnValue('[{"ifname":"veth1","vlans":[{"vlan":5,"flags":["PVID"]},{"vlan":7,"vlanEnd":9}]}]');
  expect(showPortVlans().get('veth1')).toEqual([
    { vlan: 5, flags: ['PVID'] },
    { vlan: 7, vlanEnd: 9 },
  ]);
  expect(run).toHaveBeenCalledWith('bridge', ['-json', 'vlan', 'show']);
});

test('givenAddresses() leaves out link-local addresses', () => {
  const address = (local: string, scope: string) => ({ family: 'inet' as const, local, prefixlen: 24, scope });
  const link = { addr_info: [address('10.1.0.1', 'global'), address('fe80::1', 'link'), address('x', 'global')] };
  expect(givenAddresses(link as never).map(({ ip }) => ip.text)).toEqual(['10.1.0.1']);
  expect(givenAddresses(undefined)).toEqual([]);
});
