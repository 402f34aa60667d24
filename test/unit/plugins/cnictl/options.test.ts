import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../../plugins/cnictl/options.ts';
import { UsageError } from '../../../../plugins/cnictl/usage-error.ts';

const all = ['port', 'ip', 'ifname', 'container-id', 'json'] as const;

describe('parseCommandLine()', () => {
  test('takes options anywhere, some of them several times', () => {
    const args = ['--port', '1:1', 'net', '--json', '--port=2:2', 'ns', '--ifname', 'net1', '--container-id', 'c1'];
    expect(parseCommandLine(args, all, 'hint')).toEqual({
      positionals: ['net', 'ns'],
      options: { port: ['1:1', '2:2'], ip: [], ifname: 'net1', containerId: 'c1', dryRun: false, json: true },
      help: false,
    });
  });

  test.each(['--help', '-h'])('knows %s', (flag) => {
    expect(parseCommandLine(['net', flag], [], 'hint').help).toBe(true);
  });

  test.each([
    { args: ['--prot', '1:1'], message: "unknown option '--prot'" },
    { args: ['--port'], message: "option '--port <value>' argument missing" },
    { args: ['--json=1'], message: "option '--json' does not take an argument" },
  ])('refuses $args with the hint', ({ args, message }) => {
    const error = thrownBy(() => parseCommandLine(args, all, 'hint'));
    expect(error).toBeInstanceOf(UsageError);
    expect(error).toMatchObject({ message, hint: 'hint' });
  });

  test('refuses an option that is not of this command', () => {
    expect(() => parseCommandLine(['--port', '1:1'], ['json'], 'hint')).toThrow("unknown option '--port'");
  });
});

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
