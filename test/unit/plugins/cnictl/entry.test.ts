import { describe, expect, test } from 'vitest';
import type { AttachmentRow } from '../../../../lib/attachment/collect.ts';
import type { PortRecord } from '../../../../lib/attachment/port-record.ts';
import { makeEntries, sortEntries } from '../../../../plugins/cnictl/entry.ts';
import { mapping, record as portRecord } from '../../lib/hostports/fixtures.ts';

const row: AttachmentRow = {
  network: 'net1',
  containerId: 'c1',
  ifname: 'eth0',
  addresses: ['10.1.0.5'],
  ageMs: 61_999,
  verdict: 'alive',
  why: 'its link is there',
  plugin: 'bridge',
  state: 'added',
};

function record(owner: Partial<PortRecord>, hostPort: number): PortRecord {
  const targets = { 4: '10.1.0.5/24' };
  return portRecord({ network: 'net1', containerId: 'c1', targets, mappings: [mapping(hostPort)], ...owner });
}

const port = (hostPort: number) => ({ hostIp: '', hostPort, containerPort: 80, protocol: 'tcp' });

describe('makeEntries()', () => {
  test('joins an attachment with its own host ports only', () => {
    const records = [
      record({ ifname: 'eth1' }, 1),
      record({}, 8080),
      record({ containerId: 'c2' }, 2),
      record({ network: 'net2' }, 3),
    ];
    const [entry] = makeEntries([{ ...row, pod: { namespace: 'default', name: 'web' } }], records);
    expect(entry).toEqual({
      addresses: ['10.1.0.5'],
      network: 'net1',
      containerId: 'c1',
      pod: { namespace: 'default', name: 'web' },
      ifname: 'eth0',
      hostPorts: [port(8080)],
      ageSeconds: 61,
      verdict: 'alive',
      why: 'its link is there',
    });
  });

  test('takes the ports of all interfaces for a lease that names none', () => {
    const [entry] = makeEntries([{ ...row, ifname: '' }], [record({ ifname: 'eth1' }, 1), record({}, 8080)]);
    expect(entry?.hostPorts).toEqual([port(1), port(8080)]);
  });
});

describe('sortEntries()', () => {
  test('goes by network, then by address as a number', () => {
    const names = [
      ['b', '10.1.0.1'],
      ['a', 'fd00::1'],
      ['a', '10.1.0.10'],
      ['a', '10.1.0.9'],
      ['a', ''],
    ];
    const rows = names.map(([network = '', address = '']) => ({
      ...row,
      network,
      addresses: address === '' ? [] : [address],
    }));
    expect(sortEntries(makeEntries(rows, [])).map(({ network, addresses }) => `${network} ${addresses[0]}`)).toEqual([
      'a undefined',
      'a 10.1.0.9',
      'a 10.1.0.10',
      'a fd00::1',
      'b 10.1.0.1',
    ]);
  });
});
