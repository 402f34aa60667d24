import { describe, expect, test } from 'vitest';
import type { Entry } from '../../../../plugins/cnictl/entry.ts';
import { ageText, printable, renderTable } from '../../../../plugins/cnictl/table.ts';

const entry: Entry = {
  addresses: ['10.1.0.5', 'fd00::5'],
  network: 'net1',
  containerId: 'c1',
  pod: { namespace: 'default', name: 'web' },
  ifname: 'eth0',
  hostPorts: [
    { hostIp: '', hostPort: 8080, containerPort: 80, protocol: 'tcp' },
    { hostIp: '::1', hostPort: 53, containerPort: 53, protocol: 'udp' },
  ],
  ageSeconds: 90,
  verdict: 'dead',
  why: 'its link is gone',
};

describe('renderTable()', () => {
  test('has a heading and a line for each, nothing after the last column', () => {
    const { pod, ...rest } = entry;
    const other: Entry = { ...rest, addresses: ['10.1.0.66'], ifname: '', hostPorts: [], verdict: 'unknown', why: 'x' };
    expect(renderTable([entry, other])).toBe(
      `
ADDRESS            NETWORK  CONTAINER  POD          INTERFACE  HOST PORTS                          AGE    STATE    WHY
10.1.0.5, fd00::5  net1     c1         default/web  eth0       *:8080 → 80/tcp, [::1]:53 → 53/udp  1m30s  dead     its link is gone
10.1.0.66          net1     c1         -            -          -                                   1m30s  unknown  x`.trimStart(),
    );
  });

  test('lets no pod talk to the terminal', () => {
    const text = renderTable([{ ...entry, pod: { namespace: 'a\nb', name: '\u001b[2J\u009b\u202e' } }]);
    expect(text).toContain('a?b/?[2J??');
    expect(text.split('\n')).toHaveLength(2);
  });
});

test('printable() leaves letters and arrows alone', () => {
  expect(printable('pod-ä → 80')).toBe('pod-ä → 80');
});

test.each([
  [0, '0s'],
  [59, '59s'],
  [60, '1m'],
  [3599, '59m59s'],
  [3600, '1h'],
  [3660, '1h1m'],
  [86_400, '1d'],
  [3 * 86_400 + 4 * 3600 + 59, '3d4h'],
])('ageText(%i) is %s', (seconds, text) => {
  expect(ageText(seconds)).toBe(text);
});
