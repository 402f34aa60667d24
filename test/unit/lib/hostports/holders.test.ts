/** Whether a portmap behind bridge has anything to do. */

import { expect, test, vi } from 'vitest';
import type { PortRecord } from '../../../../lib/attachment/port-record.ts';
import { readRecord } from '../../../../lib/attachment/port-record-store.ts';
import { isTakenByInterface } from '../../../../lib/hostports/holders.ts';
import { forwarding, mapping, record, traces } from './fixtures.ts';

vi.mock(import('../../../../lib/attachment/port-record-store.ts'), async (original) => ({
  ...(await original()),
  readRecord: vi.fn(),
}));

const taken = (over: Partial<PortRecord> = {}) => record({ takenBy: 'bridge', ...over });
const other = { name: 'veth2', mac: '02:00:00:00:00:02' };

test.each([
  ['bridge forwarded them', taken(), true],
  ['bridge left them to another network of the container', taken({ mappings: [], ceded: [mapping(8080)] }), true],
  ['bridge forwarded these and others', taken({ mappings: [mapping(9090), mapping(8080)] }), true],
  ['bridge forwarded others', taken({ mappings: [mapping(9090)] }), false],
  ['bridge forwarded the port to elsewhere', taken({ mappings: [mapping(8080, { containerPort: 81 })] }), false],
  ['a portmap forwarded them', record(), false],
  ['bridge was killed at it', taken({ state: 'adding' }), false],
  ['it was in another boot', taken({ traces: { ...traces, bootId: 'earlier' } }), false],
  ['it was another link of the container', taken({ traces: { ...traces, hostLink: other } }), false],
  ['it was a link by the same name', taken({ traces: { ...traces, hostLink: { ...other, name: 'veth1' } } }), false],
  ['nobody knows which link it was', taken({ traces: undefined }), false],
  ['nothing is recorded', undefined, false],
  ['the record is damaged', 'damaged', false],
] as const)('isTakenByInterface() where %s: %s', (_what, read, expected) => {
  vi.mocked(readRecord).mockReturnValue(read);
  expect(isTakenByInterface(forwarding(), traces)).toBe(expected);
});
