/** Everything that is written down about one call of a plugin: in the journal, in the log and in the trace. */
import { type CniError, messageOf } from '../cni/errors.ts';
import type { Call, Verb } from '../cni/plugin.ts';
import type { Environment } from '../cni/request.ts';
import type { Head } from './head.ts';
import { JournalEntry, type OpenSegment } from './journal.ts';
import { Log } from './log.ts';
import { type Child, type ChildEnded, type Observer, observe } from './observer.ts';
import { NO_SETTINGS, readSettings, type Settings } from './settings.ts';
import { type Span, Timeline } from './timeline.ts';
import { writeTrace } from './trace.ts';

/**
 * What brings a call into the journal, besides its failure. A DEL that finds nothing to do is most often the runtime's
 * second one, and containerd asks STATUS every few seconds: neither may push out what happened.
 */
const BEGINS_WITH: { readonly [V in Verb]: 'the call' | 'work' | 'nothing' } = {
  ADD: 'the call',
  CHECK: 'work',
  DEL: 'work',
  GC: 'work',
  STATUS: 'nothing',
};

export interface ChronicleInput {
  readonly plugin: string;
  readonly env: Environment;
  /** Tells whoever looks at stderr what went wrong with a log. */
  readonly complain: (message: string) => void;
  readonly openSegment: OpenSegment;
}

export class Chronicle implements Observer {
  readonly #complain: (message: string) => void;
  readonly #atMs = Date.now();
  readonly #timeline = new Timeline();
  readonly #entry: JournalEntry;
  #head: Head;
  #begins: (typeof BEGINS_WITH)[Verb] = 'nothing';
  #settings: Settings = NO_SETTINGS;
  #log: Log;

  constructor({ plugin, env, complain, openSegment }: ChronicleInput) {
    this.#complain = complain;
    this.#entry = new JournalEntry(openSegment, this.#atMs);
    this.#log = new Log(NO_SETTINGS, complain);
    this.#head = headOf(plugin, env);
    this.#timeline.step('read the call');
  }

  /** The call is understood. Throws code 7 for log settings that make no sense. */
  begin(call: Call): void {
    const { verb, containerId, ifname, config } = call;
    this.#head = { ...this.#head, verb, network: config.name, containerId, ifname };
    this.#begins = BEGINS_WITH[verb];
    this.#timeline.step(verb);
    observe(this);
    if (this.#begins === 'the call') this.#entry.begin(this.#head, this.#atMs);
    this.#settings = readSettings(call);
    this.#log = new Log(this.#settings, this.#complain);
  }

  step(what: string): void {
    this.#timeline.step(what);
    this.#entry.step(what, this.#timeline.nowMs());
    this.#log.write('debug', this.#head, what);
  }

  work(what: string): void {
    this.#beginWithWork();
    this.step(what);
  }

  child(child: Child): ChildEnded {
    const what = [child.tool, ...child.args].join(' ');
    this.#beginWithWork();
    this.#entry.step(what, this.#timeline.nowMs());
    const ended = this.#timeline.child(what);
    return (ending) => {
      const span = ended(ending);
      if (this.#log.wants('debug')) this.#log.write('debug', this.#head, childText(span, child.input));
    };
  }

  /** What the runtime is told on stderr as well. */
  warn(message: string): void {
    this.#log.write('warning', this.#head, message);
  }

  /** The answer is given: `error` or success. */
  end(error: CniError | undefined): void {
    observe(undefined);
    const ms = this.#timeline.nowMs();
    if (error !== undefined && !this.#entry.hasBegun) this.#entry.begin(this.#head, this.#atMs);
    this.#entry.end({ ms, error, children: this.#timeline.children });
    this.#logEnd(ms, error);
    if (this.#settings.trace !== '') this.#trace(this.#settings.trace, ms, error);
  }

  #beginWithWork(): void {
    if (this.#begins === 'work' && !this.#entry.hasBegun) this.#entry.begin(this.#head, this.#atMs);
  }

  #logEnd(ms: number, error: CniError | undefined): void {
    if (error === undefined) {
      const level = this.#head.verb === 'STATUS' ? 'debug' : 'info';
      this.#log.write(level, this.#head, `done in ${ms.toFixed(1)} ms`);
      return;
    }
    const details = error.details === '' ? '' : ` (${error.details})`;
    const text = `failed after ${ms.toFixed(1)} ms with code ${error.code}: ${error.message}${details}`;
    this.#log.write('error', this.#head, text);
  }

  #trace(path: string, ms: number, error: CniError | undefined): void {
    try {
      const spans = this.#timeline.spans(ms);
      writeTrace(path, { atMs: this.#atMs, pid: process.pid, head: this.#head, ms, error, spans });
    } catch (failure) {
      this.#complain(`cannot write to the trace file ${JSON.stringify(path)}: ${messageOf(failure)}`);
    }
  }
}

/** What can be told of a call that may be refused before it is understood. */
function headOf(plugin: string, env: Environment): Head {
  const word = (name: string) => (env[name] ?? '').slice(0, 200);
  return {
    plugin,
    verb: word('CNI_COMMAND'),
    network: '',
    containerId: word('CNI_CONTAINERID'),
    ifname: word('CNI_IFNAME'),
  };
}

/** `ip -batch - ended with 0 after 9.1 ms: link add …; link set …` */
function childText({ what, ending, ms }: Span, input: string): string {
  const lines = input.trim().split('\n').join('; ');
  return `${what} ended with ${ending} after ${ms.toFixed(1)} ms${lines === '' ? '' : `: ${lines}`}`;
}
