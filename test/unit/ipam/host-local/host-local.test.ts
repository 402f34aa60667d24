import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { CniError, code } from '../../../../lib/cni/errors.ts';
import { addresses, filesOf, invoke, temporaryFolder, testHost } from './support.ts';

const SHM = '/dev/shm';
const onOneFileSystem = statSync(SHM, { throwIfNoEntry: false })?.dev === statSync(tmpdir()).dev;

const v4 = { subnet: '10.1.2.0/24' };
const tiny = { ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: '10.2.0.0/30' }]] };

describe('ADD', () => {
  const current = (version: string) => `{
    "cniVersion": "${version}",
    "ips": [
        {
            "address": "10.1.2.2/24",
            "gateway": "10.1.2.1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        }
    ]
}`;
  const versioned = (version: string) => `{
    "cniVersion": "${version}",
    "ips": [
        {
            "version": "4",
            "address": "10.1.2.2/24",
            "gateway": "10.1.2.1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        }
    ],
    "dns": {}
}`;
  const oldest = (version: string) => `{
    "cniVersion": "${version}",
    "ip4": {
        "ip": "10.1.2.2/24",
        "gateway": "10.1.2.1",
        "routes": [
            {
                "dst": "0.0.0.0/0"
            }
        ]
    },
    "dns": {}
}`;

  test.each([
    { cniVersion: '0.1.0', golden: oldest },
    { cniVersion: '0.2.0', golden: oldest },
    { cniVersion: '0.3.0', golden: versioned },
    { cniVersion: '0.3.1', golden: versioned },
    { cniVersion: '0.4.0', golden: versioned },
    { cniVersion: '1.0.0', golden: current },
    { cniVersion: '1.1.0', golden: current },
  ])('prints what the reference prints in $cniVersion', async ({ cniVersion, golden }) => {
    const dataDir = temporaryFolder();
    const ipam = { ...v4, routes: [{ dst: '0.0.0.0/0' }] };
    const { stdout } = await invoke('ADD', { dataDir, cniVersion, ipam });
    expect(stdout).toBe(golden(cniVersion));
  });

  test('leaves the files that the reference leaves', async () => {
    const dataDir = temporaryFolder();
    await addresses({ dataDir, ipam: { ranges: [[v4], [{ subnet: '2001:db8:1::/64' }]] } });
    expect(filesOf(dataDir)).toEqual({
      'net1/10.1.2.2': 'c1\r\neth0',
      'net1/2001:db8:1::2': 'c1\r\neth0',
      'net1/last_reserved_ip.0': '10.1.2.2',
      'net1/last_reserved_ip.1': '2001:db8:1::2',
    });
    const lock = statSync(`${dataDir}/net1/lock`);
    expect([lock.size, lock.mode & 0o777]).toEqual([0, 0o750 & ~process.umask()]);
  });

  test('goes round the range instead of giving the address of a released one again', async () => {
    const dataDir = temporaryFolder();
    const given: string[] = [];
    for (const containerId of ['a', 'b', 'c', 'd', 'e', 'f']) {
      given.push(...(await addresses({ dataDir, containerId, ipam: { subnet: '10.1.2.0/29' } })));
      await invoke('DEL', { dataDir, containerId });
    }
    expect(given.map((address) => address.slice(7, 8))).toEqual(['2', '3', '4', '5', '6', '2']);
  });

  test('gives the address asked for and passes DNS settings on', async () => {
    const dataDir = temporaryFolder();
    const resolvConf = `${dataDir}/resolv.conf`;
    writeFileSync(resolvConf, 'nameserver 1.1.1.1\nsearch a b\n');
    const { json } = await invoke('ADD', { dataDir, args: 'IP=10.1.2.88', ipam: { ...v4, resolvConf } });
    expect(json).toEqual({
      cniVersion: '1.1.0',
      dns: { nameservers: ['1.1.1.1'], search: ['a', 'b'] },
      ips: [{ address: '10.1.2.88/24', gateway: '10.1.2.1' }],
    });
  });

  test('refuses an attachment that has an address and touches nothing', async () => {
    const dataDir = temporaryFolder();
    const ipam = { ranges: [[{ subnet: '10.2.0.0/24' }], [v4]] };
    await addresses({ dataDir, ipam: v4 });
    const before = filesOf(dataDir);
    // The first set would have room.
    const { json } = await invoke('ADD', { dataDir, ipam });
    expect(json).toMatchObject({
      code: code.conflict,
      msg: 'failed to allocate for range 1: 10.1.2.2 has been allocated to c1, duplicate allocation is not allowed',
    });
    expect(filesOf(dataDir)).toEqual(before);
  });

  test('gives a second interface of the container an address of its own', async () => {
    const dataDir = temporaryFolder();
    expect(await addresses({ dataDir, ipam: v4 })).toEqual(['10.1.2.2/24']);
    expect(await addresses({ dataDir, ipam: v4, ifname: 'eth1' })).toEqual(['10.1.2.3/24']);
  });

  test('releases what it reserved, and only that, when a later set is full; says how full', async () => {
    const dataDir = temporaryFolder();
    // A lease of the same attachment outside the ranges, from before they were changed.
    await addresses({ dataDir, ipam: { subnet: '10.9.0.0/24' } });
    await addresses({ dataDir, ipam: tiny, containerId: 'c0' });
    const { json } = await invoke('ADD', { dataDir, ipam: tiny });
    expect(json).toMatchObject({
      code: code.exhausted,
      msg: 'failed to allocate for range 1: no IP addresses available in range set: 10.2.0.1-10.2.0.2',
      details: expect.stringContaining(`1 addresses in all, 1 leased in ${dataDir}/net1`),
    });
    expect(Object.keys(filesOf(dataDir)).filter((name) => !name.includes('last'))).toEqual([
      'net1/10.1.2.2',
      'net1/10.2.0.2',
      'net1/10.9.0.2',
    ]);
  });

  test('names the holder of an address asked for that is taken', async () => {
    const dataDir = temporaryFolder();
    await addresses({ dataDir, ipam: v4, containerId: 'other' });
    const { json } = await invoke('ADD', { dataDir, ipam: v4, args: 'IP=10.1.2.2' });
    expect(json).toMatchObject({
      code: code.conflict,
      msg: 'failed to allocate for range 0: requested IP address 10.1.2.2 is not available in range set 10.1.2.1-10.1.2.254',
      details: expect.stringContaining(`${dataDir}/net1/10.1.2.2 of container other eth0`),
    });
  });

  // Checkpoints: before each of the two sets, and before the end.
  test.each([0, 1, 2])('leaves no lease when a SIGTERM is seen at checkpoint %i', async (at) => {
    const dataDir = temporaryFolder();
    const host = testHost((count) => {
      if (count === at) throw new CniError(code.interrupted, 'interrupted by SIGTERM');
    });
    const { json } = await invoke('ADD', { dataDir, ipam: tiny, host });
    expect(json?.code).toBe(code.interrupted);
    expect(Object.keys(filesOf(dataDir)).filter((name) => !name.includes('last'))).toEqual([]);
    expect(await addresses({ dataDir, ipam: tiny })).toHaveLength(2);
  });

  test('creates nothing when the configuration or resolvConf is bad', async () => {
    const dataDir = temporaryFolder();
    const bad = [{}, { subnet: '10.1.2.3/24' }, { ...v4, resolvConf: '/nowhere/resolv.conf' }];
    const codes = await Promise.all(bad.map(async (ipam) => (await invoke('ADD', { dataDir, ipam })).json?.code));
    expect(codes).toEqual([code.invalidConfig, code.invalidConfig, code.ioFailure]);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test.skipIf(onOneFileSystem)('uses a network folder that leads to another file system', async () => {
    const elsewhere = temporaryFolder(SHM);
    const dataDir = temporaryFolder();
    symlinkSync(elsewhere, `${dataDir}/net1`);
    expect(await addresses({ dataDir, ipam: v4 })).toEqual(['10.1.2.2/24']);
    expect(readdirSync(elsewhere).sort()).toEqual(['10.1.2.2', 'last_reserved_ip.0', 'lock']);
    expect(Object.keys(filesOf(`${dataDir}/.nodecni`))).toEqual([]);
  });
});

describe('DEL', () => {
  test('releases every lease of the interface, whatever the ranges are by now', async () => {
    const dataDir = temporaryFolder();
    await addresses({ dataDir, ipam: tiny });
    await addresses({ dataDir, ipam: v4, ifname: 'eth1' });
    const { exitCode } = await invoke('DEL', { dataDir, ipam: { subnet: 'rubbish' }, args: 'x=1' });
    expect(exitCode).toBe(0);
    expect(Object.keys(filesOf(dataDir))).toEqual([
      'net1/10.1.2.3',
      'net1/last_reserved_ip.0',
      'net1/last_reserved_ip.1',
    ]);
  });

  test('releases leases in the old format only where there are no others', async () => {
    const dataDir = temporaryFolder();
    await addresses({ dataDir, ipam: v4 });
    writeFileSync(`${dataDir}/net1/10.1.2.9`, 'c1');
    await invoke('DEL', { dataDir, ipam: v4 });
    expect(existsSync(`${dataDir}/net1/10.1.2.9`)).toBe(true);
    await invoke('DEL', { dataDir, ipam: v4 });
    expect(existsSync(`${dataDir}/net1/10.1.2.9`)).toBe(false);
  });

  test('succeeds without a folder, without creating one, and a second time', async () => {
    const dataDir = temporaryFolder();
    expect((await invoke('DEL', { dataDir })).stdout).toBe('');
    expect(readdirSync(dataDir)).toEqual([]);
    await addresses({ dataDir, ipam: v4 });
    expect((await invoke('DEL', { dataDir })).exitCode).toBe(0);
    expect((await invoke('DEL', { dataDir })).exitCode).toBe(0);
  });

  test('follows no symbolic link', async () => {
    const dataDir = temporaryFolder();
    const outside = `${temporaryFolder()}/lease`;
    writeFileSync(outside, 'c1\r\neth0');
    mkdirSync(`${dataDir}/net1`);
    symlinkSync(outside, `${dataDir}/net1/10.1.2.2`);
    expect((await invoke('DEL', { dataDir })).exitCode).toBe(0);
    expect([existsSync(outside), existsSync(`${dataDir}/net1/10.1.2.2`)]).toEqual([true, true]);
  });

  test('needs an ipam section', async () => {
    const { json } = await invoke('DEL', { dataDir: temporaryFolder(), ipam: null });
    expect(json).toMatchObject({ code: code.invalidConfig, msg: "IPAM config missing 'ipam' key" });
  });
});

describe('CHECK', () => {
  const result = (...texts: string[]) => ({
    prevResult: { cniVersion: '1.1.0', ips: texts.map((address) => ({ address })) },
  });

  test('passes with a lease, fails without one, and creates nothing', async () => {
    const dataDir = temporaryFolder();
    const missing = await invoke('CHECK', { dataDir, ipam: v4 });
    expect(missing.json).toMatchObject({
      code: code.checkFailed,
      msg: 'host-local: Failed to find address added by container c1',
    });
    expect(readdirSync(dataDir)).toEqual([]);
    await addresses({ dataDir, ipam: v4 });
    expect((await invoke('CHECK', { dataDir, ipam: v4 })).stdout).toBe('');
    expect((await invoke('CHECK', { dataDir, ipam: v4, ifname: 'eth1' })).exitCode).toBe(1);
  });

  test('names the address of prevResult whose lease is gone or of another', async () => {
    const dataDir = temporaryFolder();
    await addresses({ dataDir, ipam: tiny });
    const keys = result('10.1.2.2/24', '10.2.0.2/30', '192.168.7.7/24');
    expect((await invoke('CHECK', { dataDir, ipam: tiny, keys })).stdout).toBe('');
    writeFileSync(`${dataDir}/net1/10.2.0.2`, 'c2\r\neth0');
    const other = await invoke('CHECK', { dataDir, ipam: tiny, keys });
    expect(other.json).toMatchObject({ code: code.checkFailed, msg: expect.stringContaining('10.2.0.2') });
    rmSync(`${dataDir}/net1/10.2.0.2`);
    const gone = await invoke('CHECK', { dataDir, ipam: tiny, keys });
    expect(gone.json).toMatchObject({ code: code.checkFailed, msg: expect.stringContaining('10.2.0.2') });
  });

  test('needs ranges', async () => {
    const { json } = await invoke('CHECK', { dataDir: temporaryFolder() });
    expect(json).toMatchObject({ code: code.invalidConfig, msg: 'no IP ranges specified' });
  });
});

describe('STATUS', () => {
  test('is fine where a folder can be made, without ranges, and makes none', async () => {
    const dataDir = temporaryFolder();
    expect((await invoke('STATUS', { dataDir: `${dataDir}/a/b` })).stdout).toBe('');
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test('reports a bad configuration', async () => {
    const { json } = await invoke('STATUS', { dataDir: temporaryFolder(), ipam: { subnet: '10.1.2.3/24' } });
    expect(json?.code).toBe(code.invalidConfig);
  });

  test.each(['/proc/sys', '/dev/null', '/dev/null/x'])('says that leases cannot be written in %s', async (dataDir) => {
    const { json } = await invoke('STATUS', { dataDir });
    expect(json).toMatchObject({
      code: code.pluginNotAvailable,
      msg: expect.stringContaining(`cannot write leases in "${dataDir}/net1"`),
    });
  });
});
