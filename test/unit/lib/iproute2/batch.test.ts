/** What `ip -batch -` is told and what its answers mean. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { CniError, code } from '../../../../lib/cni/errors.ts';
import { run, ToolError } from '../../../../lib/exec.ts';
import { query, renderBatch, runBatch } from '../../../../lib/iproute2/batch.ts';

vi.mock(import('../../../../lib/exec.ts'), async (original) => ({ ...(await original()), run: vi.fn() }));
const ip = vi.mocked(run);

beforeEach(() => {
  ip.mockReset();
});

function failsWith(stderr: string, stdout = '', exitCode: number | undefined = 1): void {
  ip.mockImplementation(() => {
    throw new ToolError('ip', { exitCode, stderr, stdout }, 'it failed');
  });
}

test('renderBatch() is one line per command', () => {
  expect(
    renderBatch([
      ['link', 'set', 'dev', 'cni0', 'up'],
      ['addr', 'add', '2001:db8::1/64', 'nodad', 'dev', 'äöü%-@!$'],
    ]),
  ).toBe('link set dev cni0 up\naddr add 2001:db8::1/64 nodad dev äöü%-@!$\n');
  expect(renderBatch([])).toBe('');
});

test.each([
  'a b',
  'a\tb',
  'a\nlink del eth0',
  'a#b',
  '#',
  '"a"',
  "a'b",
  'a\\',
  '',
  'a\0b',
  'a\u0085b',
  'a\u00a0b',
  'a\u2028b',
  '\u001b[2J',
])('renderBatch() refuses the word %j', (word) => {
  const render = () => renderBatch([['link', 'set', 'dev', word, 'up']]);
  expect(render).toThrow(CniError);
  expect(render).toThrow(
    expect.objectContaining({
      code: code.invalidConfig,
      message: expect.stringContaining(JSON.stringify(word)),
    }),
  );
});

describe('runBatch()', () => {
  test('sends one batch', () => {
    runBatch([['link', 'show']]);
    expect(ip.mock.calls).toEqual([['ip', ['-batch', '-'], { input: 'link show\n' }]]);
  });
  test('starts nothing for nothing', () => {
    runBatch([]);
    expect(ip).not.toHaveBeenCalled();
  });
  test('lets ip fail', () => {
    failsWith('Device "x" does not exist.\nCommand failed -:1\n');
    expect(() => runBatch([['link', 'show']])).toThrow(ToolError);
  });
});

describe('query()', () => {
  test('asks for all in one batch and gives one list per line', () => {
    ip.mockReturnValue('[{"ifname":"a"}]\n[]\n\n[{"ifname":"b"},{"ifname":"c"}]\n');
    const answer = query([
      ['addr', 'show', 'dev', 'a'],
      ['route', 'show'],
    ]);
    expect(answer).toEqual([[{ ifname: 'a' }], [], [{ ifname: 'b' }, { ifname: 'c' }]]);
    expect(ip.mock.calls).toEqual([
      ['ip', ['-json', '-force', '-batch', '-'], { input: 'addr show dev a\nroute show\n' }],
    ]);
  });
  test('asks for details when it is told', () => {
    ip.mockReturnValue('');
    expect(query([], { details: true })).toEqual([]);
    expect(ip.mock.calls[0]?.[1]).toEqual(['-details', '-json', '-force', '-batch', '-']);
  });
  test.each([
    'Device "nope" does not exist.\nCommand failed -:1\n',
    'Cannot find device "nope"\nCommand failed -:2\n',
    'RTNETLINK answers: No such device\nCommand failed -:2\n',
    'Device "a" does not exist.\nCommand failed -:1\nCannot find device "b"\nCommand failed -:2\n',
  ])('tells what is there when devices are missing: %j', (stderr) => {
    failsWith(stderr, '[{"ifname":"a"}]\n');
    expect(query([['link', 'show']])).toEqual([[{ ifname: 'a' }]]);
  });
  test.each([
    ['another failure', 'RTNETLINK answers: Operation not permitted\nCommand failed -:1\n', 1],
    ['another one beside a missing device', 'Cannot find device "a"\nError: Invalid prefix.\nCommand failed -:2\n', 1],
    ['one without a word', '', 1],
    ['another status', 'Cannot find device "a"\nCommand failed -:1\n', 255],
    ['a deadline', 'Cannot find device "a"\n', undefined],
  ])('throws for %s', (_what, stderr, exitCode) => {
    ip.mockImplementation(() => {
      throw new ToolError('ip', { exitCode, stderr, stdout: '[]\n' }, 'it failed');
    });
    expect(() => query([['link', 'show']])).toThrow(ToolError);
  });
});
