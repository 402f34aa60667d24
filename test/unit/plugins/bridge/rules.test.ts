/** Masquerade and ports of one attachment: one transaction where both are in the same firewall, else two at a time. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { CniError } from '../../../../lib/cni/errors.ts';
import type { BackendName } from '../../../../lib/firewall/backend.ts';
import { EMPTY, type Rider } from '../../../../lib/firewall/rider.ts';
import { forwardingFor } from '../../../../lib/hostports/attachment.ts';
import { takenPorts } from '../../../../plugins/bridge/host-ports.ts';
import { masquerades } from '../../../../plugins/bridge/masquerade.ts';
import { besideRules, removeRules, rulesFor } from '../../../../plugins/bridge/rules.ts';
import { emptyResult, fakeCall, fakeHost } from '../../lib/cni/fake-call.ts';
import { forwarding } from '../../lib/hostports/fixtures.ts';
import { attachmentOf, cidr, configured } from './fixtures.ts';

vi.mock(import('../../../../lib/hostports/attachment.ts'), async (original) => ({
  ...(await original()),
  forwardingFor: vi.fn(),
}));
vi.mock(import('../../../../plugins/bridge/host-ports.ts'), async (original) => ({
  ...(await original()),
  takenPorts: vi.fn(),
}));
vi.mock(import('../../../../plugins/bridge/masquerade.ts'), () => {
  const fake = (firewall: BackendName) => ({
    add: vi.fn(async () => note(`masquerade in ${firewall}`)),
    remove: vi.fn(async (_owner, addresses) => note(`no masquerade of ${texts(addresses)} in ${firewall}`)),
    adding: vi.fn(() => riderOf(`masquerade in ${firewall}`)),
    removing: vi.fn((_owner, addresses) => riderOf(`no masquerade of ${texts({ only: addresses })} in ${firewall}`)),
    missing: vi.fn(),
    removeUnlisted: vi.fn(),
  });
  return { masquerades: { iptables: fake('iptables'), nftables: fake('nftables'), sets: fake('sets') } };
});

/** What was done. */
let log: string[] = [];
let failing: string | undefined;

function note(what: string): void {
  log.push(what);
  if (what === failing) throw new CniError(102, `${what} failed`);
}

function texts(addresses: object): string {
  return JSON.stringify(addresses, (_key, value) => value?.ip?.text ?? value);
}

const riders = new Map<Rider, string>();

function riderOf(what: string): Rider {
  const rider: Rider = { ...EMPTY };
  riders.set(rider, what);
  return rider;
}

/** `ports`, or `ports with …` what rides with them. */
function withRider(what: string, rider: Rider | undefined): string {
  return rider === undefined ? what : `${what} with ${riders.get(rider)}`;
}

const call = fakeCall({});
const keys = {
  ipMasq: true,
  isGateway: true,
  ipam: { type: 'host-local' },
  capabilities: { portMappings: true },
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
};
const result = { ...emptyResult, ips: [{ address: '10.1.0.5/24' }] };

beforeEach(() => {
  log = [];
  failing = undefined;
});

function rules({ firewall, ports }: { firewall: BackendName | ''; ports: BackendName | undefined }, over: object = {}) {
  vi.mocked(forwardingFor).mockReturnValue(ports === undefined ? undefined : forwarding({ backend: ports }));
  vi.mocked(takenPorts).mockImplementation((_call, { backend }) => ({
    firewall: backend,
    take: async (rider) => note(withRider(`ports in ${backend}`, rider)),
    giveBack: async () => note(`no ports in ${backend}`),
  }));
  return rulesFor(call, attachmentOf({ ...keys, ...over }, result), { firewall, isKnown: false, result });
}

describe('ADD', () => {
  test.each([
    ['iptables', 'iptables', ['ports in iptables with masquerade in iptables']],
    ['nftables', 'nftables', ['ports in nftables with masquerade in nftables']],
    ['nftables', 'iptables', ['masquerade in nftables', 'ports in iptables']],
    ['iptables', undefined, ['masquerade in iptables']],
    ['', 'iptables', ['ports in iptables']],
    ['', undefined, []],
  ] as const)('masquerade in %o, ports in %o: %j', async (firewall, ports, expected) => {
    await rules({ firewall, ports }).add();
    expect(log).toEqual(expected);
  });

  test('nothing is masqueraded of a family that is not asked for', async () => {
    await rules({ firewall: 'iptables', ports: 'iptables' }, { ipMasq: 'v6' }).add();
    expect(log).toEqual(['ports in iptables']);
  });

  test('without the capability nobody looks for ports', async () => {
    const without = { capabilities: {}, runtimeConfig: undefined };
    await rules({ firewall: 'iptables', ports: 'iptables' }, without).add();
    expect(log).toEqual(['masquerade in iptables']);
  });

  test('the way back is each for itself, and goes on past a failure', async () => {
    failing = 'no ports in iptables';
    const made = rules({ firewall: 'iptables', ports: 'iptables' });
    await expect(made.remove()).rejects.toThrow('no ports in iptables failed');
    expect(log).toEqual(['no ports in iptables', 'no masquerade of {"only":["10.1.0.5"]} in iptables']);
  });
});

describe('DEL', () => {
  const owner = { network: 'mynet', containerId: 'c1', ifname: 'eth0' };
  const addresses = { only: ['10.1.0.5/24', 'fd00::5/64'].map(cidr) };
  const portsIn = (firewall: BackendName | undefined) => ({
    firewall,
    remove: async (rider: Rider | undefined) => note(withRider('no ports', rider)),
  });

  test.each([
    ['together', 'iptables', ['no ports with no masquerade of {"only":["10.1.0.5","fd00::5"]} in iptables']],
    ['apart', 'nftables', ['no masquerade of {"only":["10.1.0.5","fd00::5"]} in iptables', 'no ports']],
    ['of whom nobody knows', undefined, ['no masquerade of {"only":["10.1.0.5","fd00::5"]} in iptables', 'no ports']],
  ] as const)('%s', async (_how, ports, expected) => {
    await removeRules(configured(keys), { owner, addresses, firewalls: ['iptables'], ports: portsIn(ports) });
    expect(log).toEqual(expected);
  });

  test('what is there only if the configuration changed is looked for apart', async () => {
    const config = configured({ ...keys, ipMasq: 'v4' });
    await removeRules(config, { owner, addresses, firewalls: ['iptables'], ports: portsIn('iptables') });
    expect(log).toEqual([
      'no masquerade of {"only":["fd00::5"]} in iptables',
      'no ports with no masquerade of {"only":["10.1.0.5"]} in iptables',
    ]);
  });

  test('in each firewall that may hold rules, also after a failure', async () => {
    failing = 'no ports';
    const left = { allBut: [cidr('10.2.0.5/24')] };
    const departure = {
      owner,
      addresses: left,
      firewalls: ['iptables', 'nftables'] as const,
      ports: portsIn('iptables'),
    };
    await expect(removeRules(configured(keys), departure)).rejects.toThrow('no ports failed');
    expect(log).toEqual([
      'no masquerade of {"allBut":["10.2.0.5"]} in iptables',
      'no masquerade of {"allBut":["10.2.0.5"]} in nftables',
      'no ports',
    ]);
    expect(masquerades.iptables.removing).not.toHaveBeenCalledWith(owner, expect.anything());
  });
});

describe('besideRules()', () => {
  test('acts when the rules are on their way, and waits for them', async () => {
    const rulesEnd = Promise.withResolvers<void>();
    const done = besideRules(
      fakeHost(),
      () => {
        log.push('rules');
        return rulesEnd.promise;
      },
      () => log.push('action'),
    );
    await vi.waitFor(() => expect(log).toEqual(['rules', 'action']));
    rulesEnd.reject(new Error('refused'));
    await expect(done).rejects.toThrow('refused');
  });

  test('acts though the rules throw at once', async () => {
    const broken = () => {
      throw new Error('refused');
    };
    await expect(besideRules(fakeHost(), broken, () => log.push('action'))).rejects.toThrow('refused');
    expect(log).toEqual(['action']);
  });

  test('does nothing more after a SIGTERM, but waits for the rules', async () => {
    let isWritten = false;
    const write = async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      isWritten = true;
    };
    const checkpoint = async () => Promise.reject(new CniError(105, 'interrupted'));
    const stopped = besideRules(fakeHost({ checkpoint }), write, () => log.push('action'));
    await expect(stopped).rejects.toThrow('interrupted');
    expect([log, isWritten]).toEqual([[], true]);
  });
});
