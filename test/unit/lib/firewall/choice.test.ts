/** The choice is made once per boot, remembered, and made again when its tools are gone. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { findTool } from '../../../../lib/exec.ts';
import {
  backendsInUse,
  chooseBackend,
  expectedBackend,
  installedBackends,
  requireTools,
} from '../../../../lib/firewall/choice.ts';
import { IN_SETS } from '../../../../lib/firewall/layout.ts';
import { saveIfSupported } from '../../../../lib/iptables/nat.ts';
import { bootId } from '../../../../lib/linux/boot.ts';
import { listTables } from '../../../../lib/nft/nft.ts';
import { temporaryFolder } from '../../ipam/host-local/support.ts';

const place = vi.hoisted(() => ({ folder: '' }));
vi.mock(import('../../../../lib/attachment/run-folder.ts'), async (original) => {
  const { writeHint } = await original();
  return {
    get RUN_FOLDER() {
      return place.folder;
    },
    writeHint,
  };
});
vi.mock(import('../../../../lib/exec.ts'), async (original) => ({ ...(await original()), findTool: vi.fn() }));
vi.mock(import('../../../../lib/iptables/nat.ts'), async (original) => ({
  ...(await original()),
  saveIfSupported: vi.fn(),
}));
vi.mock(import('../../../../lib/linux/boot.ts'), () => ({ bootId: vi.fn() }) as never);
vi.mock(import('../../../../lib/linux/netns.ts'), () => ({ ownCookie: () => '7' }) as never);
vi.mock(import('../../../../lib/nft/nft.ts'), () => ({ listTables: vi.fn() }) as never);

const NAT = new Map(['PREROUTING', 'POSTROUTING'].map((chain) => [chain, []]));
const configured = { backend: 'nftables', why: 'the configuration wants it' } as const;

/** Only these tools are installed. */
function install(...tools: readonly string[]): void {
  vi.mocked(findTool).mockImplementation((tool) => (tools.includes(tool) ? `/usr/sbin/${tool}` : undefined));
}

const looks = () => vi.mocked(saveIfSupported).mock.calls.length + vi.mocked(listTables).mock.calls.length;

beforeEach(() => {
  place.folder = `${temporaryFolder()}/run`;
  vi.mocked(bootId).mockReturnValue('boot 1');
  vi.mocked(saveIfSupported).mockReset().mockReturnValue(NAT);
  vi.mocked(listTables).mockReset().mockReturnValue([]);
  install('iptables-save', 'iptables-restore', 'ip6tables-save', 'ip6tables-restore', 'nft');
});

describe('chooseBackend()', () => {
  test('looks once per boot', () => {
    const first = chooseBackend();
    expect(first.backend).toBe('iptables');
    const before = looks();
    expect(chooseBackend()).toMatchObject(first);
    expect(looks()).toBe(before);
    vi.mocked(bootId).mockReturnValue('boot 2');
    vi.mocked(listTables).mockReturnValue(['inet cni_plugins_masquerade']);
    expect(chooseBackend()).toEqual({ backend: 'nftables', why: 'table inet cni_plugins_masquerade is there' });
  });

  test('follows the configuration without a look', () => {
    expect(chooseBackend(configured)).toBe(configured);
    expect(looks()).toBe(0);
  });

  test('refuses a configured firewall that is not installed', () => {
    install('iptables-save', 'iptables-restore');
    expect(() => chooseBackend(configured)).toThrow(
      expect.objectContaining({ code: 102, message: 'cannot write firewall rules: nft not found' }) as Error,
    );
  });

  test('decides again when the tools of the choice are gone, and forgets no firewall that was in use', () => {
    chooseBackend();
    install('nft', 'iptables-save', 'ip6tables-save', 'ip6tables-restore');
    vi.mocked(saveIfSupported).mockReturnValue(undefined);
    expect(chooseBackend().backend).toBe('nftables');
    install('nft', 'iptables-save', 'iptables-restore');
    expect(backendsInUse()).toEqual(['iptables', 'nftables']);
  });

  test('uses nftables where iptables cannot be used', () => {
    vi.mocked(saveIfSupported).mockReturnValue(undefined);
    expect(chooseBackend()).toEqual({ backend: 'nftables', why: 'iptables cannot be used on this host' });
  });

  test('says what to install when neither can, and what kept them', () => {
    vi.mocked(saveIfSupported).mockReturnValue(undefined);
    vi.mocked(listTables).mockImplementation(() => {
      throw new Error('nft failed: no');
    });
    expect(() => chooseBackend()).toThrow(
      expect.objectContaining({
        code: 102,
        message: 'cannot write firewall rules: neither iptables nor nftables can be used',
        details: 'install the package iptables or nftables; nft failed: no',
      }) as Error,
    );
  });

  test.each([
    ['torn', '{"bootId": "boot'],
    ['of another version', '{"bootId": "boot 1", "backend": "pf", "why": "", "inUse": []}'],
    ['empty', ''],
  ])('decides again when its file is %s', (_, text) => {
    mkdirSync(place.folder, { recursive: true });
    writeFileSync(`${place.folder}/firewall-7`, text);
    expect(chooseBackend().backend).toBe('iptables');
    expect(readFileSync(`${place.folder}/firewall-7`, 'utf8')).toContain('"backend":"iptables"');
  });

  test('works where nothing can be remembered', () => {
    mkdirSync(`${place.folder}/firewall-7`, { recursive: true });
    expect(chooseBackend().backend).toBe('iptables');
    expect(chooseBackend().backend).toBe('iptables');
    expect(readdirSync(place.folder)).toEqual(['firewall-7']);
  });
});

describe('backendsInUse()', () => {
  test('are all that are installed before this boot has decided', () => {
    expect(backendsInUse()).toEqual(['iptables', 'nftables', 'sets']);
    install('nft');
    expect(backendsInUse()).toEqual(['nftables', 'sets']);
    expect(installedBackends()).toEqual(['nftables', 'sets']);
  });

  test('are the chosen one, those that held rules, and those that configurations named', () => {
    chooseBackend();
    expect(backendsInUse()).toEqual(['iptables']);
    expect(backendsInUse(undefined, 'nftables')).toEqual(['iptables', 'nftables']);
    chooseBackend(configured);
    expect(backendsInUse()).toEqual(['iptables', 'nftables']);
    chooseBackend(IN_SETS);
    expect(backendsInUse()).toEqual(['iptables', 'nftables', 'sets']);
  });

  test('also the one that was not chosen, where it holds rules', () => {
    vi.mocked(saveIfSupported).mockReturnValue(new Map([['CNI-HOSTPORT-DNAT', []]]));
    vi.mocked(listTables).mockReturnValue(['ip cni_hostport']);
    expect(chooseBackend().backend).toBe('iptables');
    expect(backendsInUse()).toEqual(['iptables', 'nftables']);
  });
});

describe('expectedBackend()', () => {
  test('tells the choice without a look', () => {
    expect(expectedBackend()).toEqual({ backend: 'iptables', why: 'it is installed' });
    install('nft');
    expect(expectedBackend().backend).toBe('nftables');
    expect(expectedBackend(configured)).toBe(configured);
    expect(looks()).toBe(0);
    install();
    expect(() => expectedBackend()).toThrow(expect.objectContaining({ code: 50 }) as Error);
  });

  test('is what this boot decided', () => {
    vi.mocked(listTables).mockReturnValue(['inet firewalld']);
    chooseBackend();
    expect(expectedBackend()).toMatchObject({ backend: 'nftables', why: 'table inet firewalld is there' });
    install('iptables-save', 'iptables-restore');
    expect(expectedBackend()).toMatchObject({ backend: 'iptables' });
  });
});

test('requireTools() names the tool, the choice and its reason', () => {
  requireTools(configured, { code: 50 });
  install();
  expect(() => requireTools(configured, { code: 50 })).toThrow(
    expect.objectContaining({
      code: 50,
      message: 'cannot write firewall rules: nft not found',
      details: 'install the package nftables; this node uses nftables because the configuration wants it',
    }) as Error,
  );
});
