/** Deleting the host's end of a pair: what is gone is success, what is another's stays. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { deleteHostLink, deleteLink } from '../../../../lib/attachment/host-link.ts';
import { ToolError } from '../../../../lib/exec.ts';
import { query, runBatch } from '../../../../lib/iproute2/batch.ts';
import { linkNames } from '../../../../lib/linux/links.ts';

vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({
  ...(await original()),
  query: vi.fn(),
  runBatch: vi.fn(),
}));
vi.mock(import('../../../../lib/linux/links.ts'), () => ({ linkNames: vi.fn(), parseLinkNames: vi.fn() }));

const names = vi.mocked(linkNames);
const ask = vi.mocked(query);
const send = vi.mocked(runBatch);

beforeEach(() => {
  ask.mockReset();
  send.mockReset();
  names.mockReset().mockReturnValue(new Set(['lo', 'eth0', 'veth1']));
});

describe('deleteLink()', () => {
  const failure = new ToolError('ip', { exitCode: 1, stderr: 'Cannot find device\n', stdout: '' }, 'it failed');

  test('deletes the link', () => {
    deleteLink('veth1');
    expect(send).toHaveBeenCalledWith([['link', 'delete', 'dev', 'veth1']]);
  });
  test('starts nothing for a link that is gone', () => {
    deleteLink('veth2');
    expect(send).not.toHaveBeenCalled();
  });
  test('takes a link that went meanwhile for gone', () => {
    names.mockReturnValueOnce(new Set(['veth1'])).mockReturnValueOnce(new Set());
    send.mockImplementation(() => {
      throw failure;
    });
    expect(() => deleteLink('veth1')).not.toThrow();
  });
  test('tells of a link that stays', () => {
    send.mockImplementation(() => {
      throw failure;
    });
    expect(() => deleteLink('veth1')).toThrow(failure);
  });
});

describe('deleteHostLink()', () => {
  const mac = '02:00:00:00:00:01';
  const shown = (ifname: string, over: object = {}) => ({
    ifname,
    address: mac,
    linkinfo: { info_kind: 'veth' },
    ...over,
  });

  test('deletes the veth of the name that has the MAC address', () => {
    ask.mockReturnValue([[shown('veth1')]]);
    deleteHostLink({ name: 'veth1', mac });
    expect(send).toHaveBeenCalledWith([['link', 'delete', 'dev', 'veth1']]);
  });
  test('finds one that was renamed', () => {
    ask.mockReturnValue([[shown('lo', { address: '00:00:00:00:00:00' }), shown('eth0')]]);
    deleteHostLink({ name: 'veth2', mac });
    expect(send).toHaveBeenCalledWith([['link', 'delete', 'dev', 'eth0']]);
  });
  test.each([{ address: '02:00:00:00:00:77' }, { linkinfo: { info_kind: 'dummy' } }])('spares a link of %j', (over) => {
    ask.mockReturnValue([[shown('veth1', over)]]);
    deleteHostLink({ name: 'veth1', mac });
    expect(send).not.toHaveBeenCalled();
  });
});
