/** What `strace -f -ttt -e trace=execve,exit_group` says, as a list of processes. */

export interface TracedProcess {
  /** Without its folder. */
  readonly command: string;
  /** With a blank between them. */
  readonly args: string;
  /** From the begin of the first one. */
  readonly beginMs: number;
  readonly durationMs: number;
}

interface Running {
  readonly command: string;
  readonly args: string;
  readonly beginS: number;
}

/** In the order of their begin. A process that becomes another program (nsenter) goes by the last one's name. */
export function parseTrace(text: string): readonly TracedProcess[] {
  const running = new Map<string, Running>();
  const ended: (Running & { endS: number })[] = [];
  for (const line of text.split('\n')) {
    const [, pid = '', time = '', what = ''] = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line) ?? [];
    const started = /^execve\("([^"]+)", \[(.*?)\](?:\.\.\.)?, .*(?: = 0|<unfinished \.\.\.>)$/.exec(what);
    if (started !== null) {
      running.set(pid, {
        command: started[1] ?? '',
        args: wordsOf(started[2] ?? '')
          .slice(1)
          .join(' '),
        beginS: running.get(pid)?.beginS ?? Number(time),
      });
    }
    const process = running.get(pid);
    if (process !== undefined && /^\+\+\+ (exited|killed)/.test(what)) ended.push({ ...process, endS: Number(time) });
  }
  const firstS = Math.min(...ended.map(({ beginS }) => beginS));
  return ended
    .toSorted((one, two) => one.beginS - two.beginS)
    .map(({ command, args, beginS, endS }) => ({
      command: command.replace(/.*\//, ''),
      args,
      beginMs: (beginS - firstS) * 1000,
      durationMs: (endS - beginS) * 1000,
    }));
}

function wordsOf(list: string): string[] {
  return [...list.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? '');
}
