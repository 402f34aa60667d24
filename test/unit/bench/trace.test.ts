/** strace's lines, as they come when processes overlap and become other programs. */

import { expect, test } from 'vitest';
import { parseTrace } from '../../bench/trace.ts';

const text = `10 100.000000 execve("/usr/bin/nsenter", ["/usr/bin/nsenter", "--net=/run/netns/a", "/x/cnitool"], 0x7ff /* 3 vars */) = 0
10 100.002000 execve("/x/cnitool", ["/x/cnitool", "add"], 0x7ff /* 3 vars */) = 0
11 100.010000 execve("/x/bridge", ["/x/bridge"], 0xc00 /* 9 vars */ <unfinished ...>
10 100.011000 --- SIGURG ---
11 100.012000 <... execve resumed>)       = 0
13 100.015000 execve("/sbin/absent", ["ip"], 0xc00 /* 2 vars */) = -1 ENOENT (No such file or directory)
12 100.020000 execve("/usr/sbin/ip", ["/usr/sbin/ip", "-batch", "name: \\"a\\""], 0xc00 /* 2 vars */) = 0
12 100.025000 exit_group(0)           = ?
12 100.026000 +++ exited with 0 +++
11 100.040000 +++ killed by SIGKILL +++
10 100.041500 +++ exited with 0 +++
`;

test('parseTrace() lists processes with begin and duration', () => {
  const processes = parseTrace(text).map(({ beginMs, durationMs, ...process }) => ({
    ...process,
    beginMs: Math.round(beginMs * 10) / 10,
    durationMs: Math.round(durationMs * 10) / 10,
  }));
  expect(processes).toEqual([
    { command: 'cnitool', args: 'add', beginMs: 0, durationMs: 41.5 },
    { command: 'bridge', args: '', beginMs: 10, durationMs: 30 },
    { command: 'ip', args: '-batch name: \\"a\\"', beginMs: 20, durationMs: 6 },
  ]);
});
