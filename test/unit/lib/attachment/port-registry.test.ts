/** The index of claims: what cannot be used counts as none. */

import { expect, test } from 'vitest';
import { parseIndex } from '../../../../lib/attachment/port-registry.ts';

const index = {
  version: 1,
  bootId: 'boot',
  hostNetns: '1',
  records: {
    'a.json': {
      claims: ['tcp 80', 'udp 8000-8999 192.0.2.1'],
      localnet: { link: 'cni0', wasOpen: false, backend: 'iptables' },
    },
    'b.json': { claims: [] },
  },
  strangers: ['tcp 8080 0.0.0.0'],
};

test('is read as it is written', () => {
  expect(parseIndex(JSON.stringify(index))).toEqual(index);
});

test.each([
  ['another version', { ...index, version: 2 }],
  ['no boot', { ...index, bootId: undefined }],
  ['claims that are none', { ...index, records: { 'a.json': { claims: [80] } } }],
  [
    'a link with a path for a name',
    {
      ...index,
      records: { 'a.json': { claims: [], localnet: { link: '../x', wasOpen: false, backend: 'iptables' } } },
    },
  ],
  ['a list', []],
])('with %s it is none', (_, value) => {
  expect(parseIndex(JSON.stringify(value))).toBeUndefined();
});
