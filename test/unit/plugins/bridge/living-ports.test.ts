/** Ports that count when a bridge is to change: all but gateways of VLANs and what is shown dead. */

import { beforeEach, expect, test, vi } from 'vitest';
import { storeAt } from '../../../../lib/attachment/store.ts';
import { loadSubjects, type Subject } from '../../../../lib/attachment/subject.ts';
import { judgeThose } from '../../../../lib/attachment/sweep.ts';
import { showPorts } from '../../../../lib/iproute2/show.ts';
import { livingPorts } from '../../../../plugins/bridge/living-ports.ts';
import { link } from './fixtures.ts';

vi.mock(import('../../../../lib/iproute2/show.ts'), async (original) => ({
  ...(await original()),
  showPorts: vi.fn(),
}));
vi.mock(import('../../../../lib/attachment/subject.ts'), async (original) => ({
  ...(await original()),
  loadSubjects: vi.fn(),
}));
vi.mock(import('../../../../lib/attachment/sweep.ts'), async (original) => ({
  ...(await original()),
  judgeThose: vi.fn(),
}));

const store = storeAt({ dataDir: '/absent', network: 'mynet' }, () => {});

function subject(name: string): Subject {
  const record = { hostLink: { name, mac: '' } };
  return { read: { record }, leases: [], containerId: name } as unknown as Subject;
}

beforeEach(() => {
  vi.mocked(loadSubjects).mockReturnValue(['veth1', 'veth2', 'elsewhere'].map(subject));
  vi.mocked(judgeThose).mockImplementation((subjects) =>
    subjects.map((one) => ({ subject: one, verdict: one.containerId === 'veth2' ? 'dead' : 'alive', why: '' })),
  );
});

test('are those of the living and of strangers', () => {
  const gateway = link('veth9', { link: 'cni0.5' });
  vi.mocked(showPorts).mockReturnValue([link('veth1'), link('veth2'), link('eth1'), gateway]);
  expect(livingPorts(store, 'cni0')).toEqual(['veth1', 'eth1']);
});

test('are none on a bridge with gateways of VLANs alone, and nobody is judged', () => {
  vi.mocked(showPorts).mockReturnValue([link('veth9', { link: 'cni0.5' })]);
  vi.mocked(judgeThose).mockClear();
  expect(livingPorts(store, 'cni0')).toEqual([]);
  expect(judgeThose).not.toHaveBeenCalled();
});

test('only who has a port there is judged', () => {
  vi.mocked(showPorts).mockReturnValue([link('veth1')]);
  livingPorts(store, 'cni0');
  expect(vi.mocked(judgeThose).mock.lastCall?.[0].map(({ containerId }) => containerId)).toEqual(['veth1']);
});
