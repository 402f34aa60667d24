import { expect, test, vi } from 'vitest';
import { query } from '../../../../lib/iproute2/batch.ts';
import { showLink, showLinks } from '../../../../lib/iproute2/show.ts';

vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({ ...(await original()), query: vi.fn() }));
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
