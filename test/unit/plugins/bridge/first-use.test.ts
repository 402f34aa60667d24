/** A host is looked over once per boot, bridge and network; an overlap is what the configuration says it is. */

import { rmSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { RUN_FOLDER } from '../../../../lib/attachment/run-folder.ts';
import { bootId } from '../../../../lib/linux/boot.ts';
import { warnAtFirstUse } from '../../../../plugins/bridge/first-use.ts';
import type { Looked } from '../../../../plugins/bridge/preflight.ts';
import { lookOver } from '../../../../plugins/bridge/preflight-look.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';
import { cidr, configured } from './fixtures.ts';

vi.mock(import('../../../../plugins/bridge/preflight-look.ts'), () => ({ lookOver: vi.fn() }));
vi.mock(import('../../../../lib/linux/boot.ts'), async (original) => ({ ...(await original()), bootId: vi.fn() }));

const off: Looked = {
  forwarding: { 4: '1', 6: '1' },
  bridgeForwarding: undefined,
  netfilter: { 4: '0', 6: '0' },
  filters: [],
  networks: [],
  configured: [],
};
const warn = vi.fn();

beforeEach(() => {
  rmSync(RUN_FOLDER, { recursive: true, force: true });
  vi.mocked(lookOver).mockReset().mockReturnValue(off);
  vi.mocked(bootId).mockReturnValue('first');
  warn.mockReset();
});

interface Use {
  readonly keys?: object;
  readonly gateway?: string;
}

function use({ keys = {}, gateway = '10.7.0.1/24' }: Use = {}): void {
  const all = { isGateway: true, ipam: { type: 'host-local' }, ...keys };
  const call = fakeCall(all);
  const using = { addressing: addressing('10.7.0.2/24'), gateways: [cidr(gateway)] };
  warnAtFirstUse({ ...call, host: { ...call.host, warn } }, configured(all), using);
}

function addressing(...texts: string[]) {
  return { addresses: texts.map((text) => ({ cidr: cidr(text), gateway: undefined })), routes: [], dns: {} };
}

test('the second use looks at nothing', () => {
  use();
  use();
  expect(lookOver).toHaveBeenCalledTimes(1);
  expect(warn.mock.calls).toEqual([
    [expect.stringMatching(/^bridge cni0: net\/bridge\/bridge-nf-call-iptables is off/)],
  ]);
});

test.each([
  ['another boot', () => vi.mocked(bootId).mockReturnValue('second'), {}],
  ['another bridge', () => {}, { keys: { bridge: 'cni1' } }],
  ['another network', () => {}, { keys: { name: 'other' } }],
  ['another subnet', () => {}, { gateway: '10.8.0.1/24' }],
])('%s is another first use', (_what, change, over: Use) => {
  use();
  change();
  use(over);
  expect(lookOver).toHaveBeenCalledTimes(2);
});

test('who was slower than another ADD says nothing', () => {
  vi.mocked(lookOver).mockImplementation(() => {
    vi.mocked(lookOver).mockReturnValue(off);
    use();
    return off;
  });
  use();
  expect(warn).toHaveBeenCalledTimes(1);
});

test('where /run cannot be written it is said every time', () => {
  writeFileSync(RUN_FOLDER, '');
  expect(use).not.toThrow();
  use();
  expect(warn).toHaveBeenCalledTimes(2);
  rmSync(RUN_FOLDER);
});

test('a network without gateway and masquerade is not looked at', () => {
  const call = fakeCall({});
  warnAtFirstUse(call, configured(), { addressing: addressing(), gateways: [] });
  expect(lookOver).not.toHaveBeenCalled();
});

test('what is asked for in vain is told of once, and the host is not looked at for it', () => {
  const keys = { hairpinMode: true, portIsolation: true };
  const call = fakeCall(keys);
  for (const _ of ['once', 'again']) {
    const using = { addressing: addressing(), gateways: [] };
    warnAtFirstUse({ ...call, host: { ...call.host, warn } }, configured(keys), using);
  }
  expect(warn.mock.calls).toEqual([[expect.stringMatching(/^bridge cni0: "hairpinMode" does nothing beside/)]]);
  expect(lookOver).not.toHaveBeenCalled();
});

describe('an overlap', () => {
  const taken = { ...off, networks: [{ cidr: cidr('10.0.0.0/8'), what: 'the route 10.0.0.0/8 on eth0' }] };

  test('is the first line by default', () => {
    vi.mocked(lookOver).mockReturnValue(taken);
    use();
    expect(warn.mock.calls[0]?.[0]).toMatch(/^bridge cni0: 10\.7\.0\.0\/24 overlaps with the route/);
    expect(warn).toHaveBeenCalledTimes(2);
  });

  test('is an error where that is asked for, again and again until it is gone', () => {
    vi.mocked(lookOver).mockReturnValue(taken);
    const keys = { overlap: 'fail' };
    for (const _ of ['once', 'again']) {
      expect(() => use({ keys })).toThrow(
        expect.objectContaining({ code: 101, message: expect.stringContaining('overlaps with the route 10.0.0.0/8') }),
      );
    }
    expect(warn).not.toHaveBeenCalled();
    vi.mocked(lookOver).mockReturnValue(off);
    use({ keys });
    use({ keys });
    expect(lookOver).toHaveBeenCalledTimes(3);
  });
});
