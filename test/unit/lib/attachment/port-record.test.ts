/** Records: what is written is read back; what is damaged makes no rules. */

import { describe, expect, test } from 'vitest';
import { parseRecord, renderRecord } from '../../../../lib/attachment/port-record.ts';
import { rulesOf } from '../../../../lib/hostports/rules.ts';
import { dualStack, mapping, record } from '../hostports/fixtures.ts';

const full = record({
  ...dualStack,
  mappings: [mapping(53, { protocol: 'udp', spelling: 'UDP', hostIp: '192.0.2.1' }), mapping(8080)],
  externalSetMarkChain: 'KUBE-MARK-MASQ',
  conditions: { 4: ['!', '-d', '192.0.2.0/24'], 6: [] },
});

test.each([record(), full])('a record makes the rules of its ADD again', (wanted) => {
  const read = parseRecord(renderRecord(wanted));
  expect(read).toMatchObject(wanted);
  if (read === 'damaged') return;
  expect(rulesOf(read, 4)).toEqual(rulesOf(wanted, 4));
  expect(rulesOf(read, 6)).toEqual(rulesOf(wanted, 6));
});

test('a record of old has no backend, when there was one, and no traces', () => {
  const {
    backend: _b,
    state: _s,
    ceded: _c,
    traces: _t,
    ...old
  } = JSON.parse(renderRecord(record())) as Record<string, unknown>;
  const { traces: _, ...known } = record();
  expect(parseRecord(JSON.stringify(old))).toEqual(known);
});

test('whoever knows iptables only cannot read the record of others', () => {
  expect(JSON.parse(renderRecord(record()))).toMatchObject({ version: 1 });
  const other = record({ backend: 'nftables' });
  expect(JSON.parse(renderRecord(other))).toMatchObject({ version: 2 });
  expect(parseRecord(renderRecord(other))).toEqual(other);
});

describe('damaged is', () => {
  const good = JSON.parse(renderRecord(full)) as Record<string, unknown>;

  test.each([
    ['an empty file', ''],
    ['zeros', '\0\0\0\0'],
    ['a torn file', renderRecord(full).slice(0, -5)],
    ['a list', '[]'],
    ['another version', JSON.stringify({ ...good, version: 3 })],
    ['no version', JSON.stringify({ ...good, version: undefined })],
    ['an address that is none', JSON.stringify({ ...good, targets: { 4: '10.88.0.5 -j ACCEPT' } })],
    ['a protocol that is none', JSON.stringify({ ...good, mappings: [{ ...mapping(1), protocol: '\nCOMMIT' }] })],
    ['a port that is none', JSON.stringify({ ...good, mappings: [mapping(0)] })],
    ['a word with a line break', JSON.stringify({ ...good, conditions: { 4: ['a\n-F'], 6: [] } })],
    ['a state that is none', JSON.stringify({ ...good, state: 'done' })],
    ['a chain with a line break', JSON.stringify({ ...good, externalSetMarkChain: 'A\n-F' })],
  ])('%s', (_, text) => {
    expect(parseRecord(text)).toBe('damaged');
  });
});
