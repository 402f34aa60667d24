/** Ports join their VLANs in one batch; a kernel that has none is named. */

import { beforeEach, expect, test, vi } from 'vitest';
import { ToolError } from '../../../../lib/exec.ts';
import { runBridgeBatch } from '../../../../lib/iproute2/batch.ts';
import { joinVlans } from '../../../../plugins/bridge/vlan-port.ts';
import { configured } from './fixtures.ts';

vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({
  ...(await original()),
  runBridgeBatch: vi.fn(),
}));
const send = vi.mocked(runBridgeBatch);

const gateway = { port: 'veth9', isNew: true };
const config = configured({ vlan: 5 });
const refusal = (stderr: string) => new ToolError('bridge', { exitCode: 1, stderr, stdout: '' }, 'it failed');

beforeEach(() => {
  send.mockReset();
});

test('the port of a new gateway and that of the pair join together', () => {
  joinVlans(config, 'veth1', gateway);
  const texts = send.mock.calls.map(([commands]) => commands.map((words) => words.join(' ')));
  expect(texts).toEqual([
    [
      'vlan del dev veth9 vid 1-4094 master',
      'vlan add dev veth9 vid 5 pvid untagged master',
      'vlan del dev veth1 vid 1-4094 master',
      'vlan add dev veth1 vid 5 pvid untagged master',
    ],
  ]);
});

test('without VLANs there is nothing to join, and no gateway is one of ours', () => {
  joinVlans(configured(), 'veth1', undefined);
  expect(send).not.toHaveBeenCalled();
  joinVlans(config, 'veth1', { ...gateway, port: undefined, isNew: false });
  expect(send.mock.calls[0]?.[0]).toHaveLength(2);
});

test('a kernel that cannot is named', () => {
  send.mockImplementation(() => {
    throw refusal('RTNETLINK answers: Operation not supported\n');
  });
  expect(() => joinVlans(config, 'veth1', gateway)).toThrow(
    'cannot use VLANs on bridge "cni0": this kernel cannot filter them',
  );
});

test('any other failure is told as it is', () => {
  const failure = refusal('RTNETLINK answers: No such device\n');
  send.mockImplementation(() => {
    throw failure;
  });
  expect(() => joinVlans(config, 'veth1', undefined)).toThrow(failure);
});
