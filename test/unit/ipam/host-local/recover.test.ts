/** Leases that come back: after a boot, when a range is full, for the same container again, by GC. */

import { existsSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { visibleNamespaces } from '../../../../lib/attachment/namespaces.ts';
import { RUN_FOLDER } from '../../../../lib/attachment/run-folder.ts';
import { removeRulesOf } from '../../../../lib/firewall/owned.ts';
import { query } from '../../../../lib/iproute2/batch.ts';
import { bootId, sinceBootMs } from '../../../../lib/linux/boot.ts';
import { addresses, filesOf, invoke, temporaryFolder, testHost } from './support.ts';

vi.mock(import('../../../../lib/linux/boot.ts'), async (original) => ({
  ...(await original()),
  bootId: vi.fn(),
  machineId: vi.fn(() => 'machine'),
  sinceBootMs: vi.fn(),
}));
vi.mock(import('../../../../lib/firewall/owned.ts'), () => ({ removeRulesOf: vi.fn() }));
vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({ ...(await original()), query: vi.fn() }));
vi.mock(import('../../../../lib/attachment/namespaces.ts'), async (original) => ({
  ...(await original()),
  visibleNamespaces: vi.fn(),
}));

const ipam = { subnet: '10.1.2.0/29' };
const ALL = ['10.1.2.2', '10.1.2.3', '10.1.2.4', '10.1.2.5', '10.1.2.6'];

beforeEach(() => {
  rmSync(RUN_FOLDER, { recursive: true, force: true });
  vi.mocked(bootId).mockReturnValue('boot-1');
  vi.mocked(sinceBootMs).mockReturnValue(1_000_000);
  vi.mocked(query).mockReset().mockReturnValue([]);
  vi.mocked(visibleNamespaces).mockReset().mockReturnValue({ cookies: new Set(), addresses: new Set() });
  vi.mocked(removeRulesOf).mockReset();
});

async function filled(): Promise<string> {
  const dataDir = temporaryFolder();
  for (const at of [1, 2, 3, 4, 5]) await addresses({ dataDir, ipam, containerId: `c${at}` });
  return dataDir;
}

function leases(dataDir: string): string[] {
  return Object.keys(filesOf(dataDir)).flatMap((path) => /^net1\/([\d.]+)$/.exec(path)?.[1] ?? []);
}

describe('ADD after a reboot', () => {
  test('gives every address again, rules first, and names each one', async () => {
    const dataDir = await filled();
    vi.mocked(bootId).mockReturnValue('boot-2');
    const host = testHost();
    vi.mocked(removeRulesOf).mockImplementation(() => expect(leases(dataDir)).toEqual(ALL));
    expect(await addresses({ dataDir, ipam, containerId: 'new', host })).toHaveLength(1);
    expect(removeRulesOf).toHaveBeenCalledTimes(1);
    const [[dead] = []] = vi.mocked(removeRulesOf).mock.calls;
    expect([...(dead?.addresses ?? [])].sort()).toEqual(ALL);
    expect(dead?.owners.map(({ containerId }) => containerId).sort()).toEqual(['c1', 'c2', 'c3', 'c4', 'c5']);
    expect(host.warnings).toHaveLength(5);
    expect(host.warnings.join('\n')).toMatch(
      /reclaimed 10\.1\.2\.4 of container c3 eth0: .*earlier boot of this machine/,
    );
    expect(leases(dataDir)).toHaveLength(1);
    expect(readdirSync(`${dataDir}/.nodecni/net1`).filter((name) => name.endsWith('.json'))).toHaveLength(1);
  });

  test('gives a container of the former boot its own address', async () => {
    const dataDir = await filled();
    vi.mocked(bootId).mockReturnValue('boot-2');
    expect(await addresses({ dataDir, ipam, containerId: 'c4' })).toEqual(['10.1.2.5/29']);
  });

  test('frees nothing when the rules could not be removed', async () => {
    const dataDir = await filled();
    vi.mocked(bootId).mockReturnValue('boot-2');
    vi.mocked(removeRulesOf).mockImplementation(() => {
      throw new Error('xtables is locked');
    });
    const host = testHost();
    const { json } = await invoke('ADD', { dataDir, ipam, containerId: 'new', host });
    expect(json?.code).toBe(100);
    expect(leases(dataDir)).toEqual(ALL);
    expect(host.warnings.join('\n')).toContain('xtables is locked');
  });

  test('frees nothing with "reclaim": false', async () => {
    const dataDir = await filled();
    vi.mocked(bootId).mockReturnValue('boot-2');
    const { json } = await invoke('ADD', { dataDir, ipam: { ...ipam, reclaim: false }, containerId: 'new' });
    expect(json).toMatchObject({ code: 100, details: expect.stringContaining('5 leased in') });
    expect(json?.details).toContain('0 free, 5 reclaimable');
    expect(leases(dataDir)).toEqual(ALL);
  });
});

describe('ADD in a full range', () => {
  test('takes nothing from the living, says who they are, and does not look again for five seconds', async () => {
    const dataDir = await filled();
    const add = () => invoke('ADD', { dataDir, ipam, containerId: 'new' });
    const { json } = await add();
    expect(json).toMatchObject({ code: 100, details: expect.stringContaining('5 addresses in all, 5 leased') });
    expect(json?.details).toMatch(/oldest: 10\.1\.2\.2 of container c1 eth0, 0 s old.*"cnictl leases net1"/);
    // A lease that is garbage would be found by the next look.
    writeFileSync(`${dataDir}/net1/10.1.2.3`, '\0\0');
    rmSync(`${dataDir}/.nodecni/net1`, { recursive: true });
    expect((await add()).json?.code).toBe(100);
    vi.mocked(sinceBootMs).mockReturnValue(1_005_001);
    expect((await add()).json?.ips?.[0]?.address).toBe('10.1.2.3/29');
  });

  test('keeps a damaged lease whose address a record or a namespace has', async () => {
    const dataDir = await filled();
    writeFileSync(`${dataDir}/net1/10.1.2.3`, '');
    writeFileSync(`${dataDir}/net1/10.1.2.4`, '\0');
    expect((await invoke('ADD', { dataDir, ipam, containerId: 'new' })).json?.code).toBe(100);
    rmSync(`${dataDir}/.nodecni/net1`, { recursive: true });
    rmSync(RUN_FOLDER, { recursive: true });
    const inUse = { cookies: new Set<string>(), addresses: new Set(['10.1.2.3', '10.1.2.4']) };
    vi.mocked(visibleNamespaces).mockReturnValue(inUse);
    expect((await invoke('ADD', { dataDir, ipam, containerId: 'new' })).json?.code).toBe(100);
  });
});

describe("a lease of the reference's", () => {
  const foreign = () => {
    const dataDir = temporaryFolder();
    const path = `${dataDir}/net1/10.1.2.2`;
    return { dataDir, path };
  };

  test.each([
    { what: 'of a former boot, with nobody at its address', year: 2001, freed: true },
    { what: 'of this boot', year: 2100, freed: false },
  ])('$what: freed $freed', async ({ year, freed }) => {
    const { dataDir, path } = foreign();
    await addresses({ dataDir, ipam, containerId: 'c1' });
    writeFileSync(path, 'old\r\neth0');
    utimesSync(path, new Date(year, 0), new Date(year, 0));
    rmSync(RUN_FOLDER, { recursive: true });
    await addresses({ dataDir, ipam, containerId: 'c2' });
    expect(existsSync(path)).toBe(!freed);
  });
});

describe('ADD again for a container that has an address', () => {
  test('is refused while it may live: lease, owner, age, verdict, reason, command', async () => {
    const dataDir = temporaryFolder();
    await addresses({ dataDir, ipam, args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web' });
    const before = filesOf(dataDir);
    const { json } = await invoke('ADD', { dataDir, ipam });
    expect(json).toMatchObject({
      code: 101,
      msg: 'failed to allocate for range 0: 10.1.2.2 has been allocated to c1, duplicate allocation is not allowed',
    });
    expect(json?.details).toMatch(
      /net1\/10\.1\.2\.2 of container c1 eth0 \(pod shop\/web\), 0 s old: unknown, .*; "cnictl release net1 c1" releases it/,
    );
    expect(filesOf(dataDir)).toEqual(before);
  });

  test('gets the same address when it is shown dead', async () => {
    const dataDir = temporaryFolder();
    await addresses({ dataDir, ipam, containerId: 'c1' });
    await addresses({ dataDir, ipam, containerId: 'c2' });
    // The network was swept in this boot already: only its own record tells.
    vi.mocked(bootId).mockReturnValue('boot-2');
    await addresses({ dataDir, ipam: { ...ipam, reclaim: true }, containerId: 'c3' });
    vi.mocked(bootId).mockReturnValue('boot-3');
    expect(await addresses({ dataDir, ipam, containerId: 'c3' })).toEqual(['10.1.2.4/29']);
  });
});

describe('GC', () => {
  const listed = (...ids: string[]) => ({
    'cni.dev/valid-attachments': ids.map((containerID) => ({ containerID, ifname: 'eth0' })),
  });
  const gc = (dataDir: string, keys: object) => invoke('GC', { dataDir, ipam: {}, keys });

  test('frees what is not listed, without ranges, and keeps lock, cursor and other networks', async () => {
    const dataDir = await filled();
    const { stdout } = await gc(dataDir, listed('c2', 'c5'));
    expect(stdout).toBe('');
    expect(leases(dataDir)).toEqual(['10.1.2.3', '10.1.2.6']);
    expect(readdirSync(`${dataDir}/net1`).sort()).toEqual(['10.1.2.3', '10.1.2.6', 'last_reserved_ip.0', 'lock']);
    expect(readdirSync(`${dataDir}/.nodecni/net1`).filter((name) => name.endsWith('.json'))).toHaveLength(2);
  });

  test('knows both spellings of the key, and null and [] as nobody', async () => {
    for (const keys of [
      { 'cni.dev/attachments': null },
      { 'cni.dev/valid-attachments': [] },
      { 'cni.dev/valid-attachments': null, 'cni.dev/attachments': [] },
    ]) {
      const dataDir = await filled();
      expect((await gc(dataDir, keys)).exitCode).toBe(0);
      expect(leases(dataDir)).toEqual([]);
    }
  });

  test('touches nothing without the key', async () => {
    const dataDir = await filled();
    const before = filesOf(dataDir);
    expect((await gc(dataDir, {})).json?.code).toBe(7);
    expect(filesOf(dataDir)).toEqual(before);
  });

  test('keeps leases of old versions while any interface of the container is listed', async () => {
    const dataDir = await filled();
    writeFileSync(`${dataDir}/net1/10.1.2.2`, 'c2');
    await gc(dataDir, listed('c2'));
    expect(leases(dataDir)).toEqual(['10.1.2.2', '10.1.2.3']);
  });

  test('makes no folder where there is none', async () => {
    const dataDir = temporaryFolder();
    expect((await gc(dataDir, listed())).exitCode).toBe(0);
    expect(readdirSync(dataDir)).toEqual([]);
  });
});

describe('STATUS of a full range', () => {
  test('is a line with numbers by default, code 50 where asked for, and neither where one is free', async () => {
    const dataDir = await filled();
    const host = testHost();
    expect((await invoke('STATUS', { dataDir, ipam, host })).exitCode).toBe(0);
    expect(host.warnings).toEqual([expect.stringContaining('5 leased')]);
    const strict = { ...ipam, statusOnExhaustion: 'error' };
    const { json } = await invoke('STATUS', { dataDir, ipam: strict });
    expect(json).toMatchObject({ code: 50, details: expect.stringContaining('0 free, 0 reclaimable') });
    await invoke('DEL', { dataDir, ipam, containerId: 'c3' });
    const quiet = testHost();
    vi.mocked(query).mockClear();
    expect((await invoke('STATUS', { dataDir, ipam: strict, host: quiet })).exitCode).toBe(0);
    expect(quiet.warnings).toEqual([]);
    expect(query).not.toHaveBeenCalled();
  });

  test('is no error where the next ADD makes room', async () => {
    const dataDir = await filled();
    vi.mocked(bootId).mockReturnValue('boot-2');
    const strict = { ...ipam, statusOnExhaustion: 'error' };
    expect((await invoke('STATUS', { dataDir, ipam: strict })).exitCode).toBe(0);
  });
});
