/**
 * Which firewall to write into: the configuration's, else the one that ./decide.ts finds once per boot. Remembered in
 * one small file under /run, with the firewalls that may hold rules of ours: so that no verb has to look into both.
 */
import * as z from 'zod/mini';
import { RUN_FOLDER, writeHint } from '../attachment/run-folder.ts';
import { CniError, code, messageOf } from '../cni/errors.ts';
import { findTool } from '../exec.ts';
import { saveIfSupported } from '../iptables/nat.ts';
import { bootId } from '../linux/boot.ts';
import { ownCookie } from '../linux/netns.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { listTables } from '../nft/nft.ts';
import { BACKENDS, type BackendName } from './backend.ts';
import { type Choice, decide, holders, type Seen } from './decide.ts';

const MAX_STAMP_BYTES = 1024;
const TOOLS: { readonly [B in BackendName]: readonly string[] } = {
  iptables: ['iptables-restore', 'iptables-save'],
  nftables: ['nft'],
  sets: ['nft'],
};
const PACKAGES: { readonly [B in BackendName]: string } = {
  iptables: 'iptables',
  nftables: 'nftables',
  sets: 'nftables',
};

const stampSchema = z.object({
  bootId: z.string(),
  backend: z.enum(BACKENDS),
  why: z.string(),
  inUse: z.array(z.enum(BACKENDS)),
});

type Stamp = z.output<typeof stampSchema>;

/**
 * The firewall for a new attachment. `configured` comes first. Starts children only when this boot has no answer yet, or
 * its tools are gone. Throws code 102 when there is none, or the configured one is not installed.
 */
export function chooseBackend(configured?: Choice): Choice {
  const stamp = readStamp();
  if (configured !== undefined) {
    requireTools(configured, { code: code.toolFailed });
    if (stamp !== undefined && !stamp.inUse.includes(configured.backend)) {
      remember({ ...stamp, inUse: [...stamp.inUse, configured.backend] });
    }
    return configured;
  }
  if (stamp !== undefined && isInstalled(stamp.backend)) return stamp;
  const problems: string[] = [];
  const seen = look(problems);
  const choice = decide(seen);
  if (choice === undefined) throw noFirewall(code.toolFailed, problems);
  const inUse = new Set([...(stamp?.inUse ?? []), ...holders(seen), choice.backend]);
  // One that could not be looked at may hold rules all the same, and be right the next time.
  if (problems.length === 0) remember({ bootId: bootId(), ...choice, inUse: [...inUse] });
  return choice;
}

/** For STATUS: what the next ADD would take as far as can be told without a child. Throws code 50. */
export function expectedBackend(configured?: Choice): Choice {
  const stamp = readStamp();
  const decided = stamp !== undefined && isInstalled(stamp.backend) ? stamp : undefined;
  const choice = configured ?? decided ?? BACKENDS.filter(isInstalled).map(installed)[0];
  if (choice === undefined) throw noFirewall(code.pluginNotAvailable, []);
  return choice;
}

function installed(backend: BackendName): Choice {
  return { backend, why: 'it is installed' };
}

export interface ToolCheck {
  /** Of the error. */
  readonly code: number;
  /** More than what every use takes. */
  readonly tools?: readonly string[];
}

/** Throws when a tool of `choice` is missing. */
export function requireTools({ backend, why }: Choice, check: ToolCheck): void {
  const missing = (check.tools ?? TOOLS[backend]).filter((tool) => findTool(tool) === undefined);
  if (missing.length === 0) return;
  throw new CniError(check.code, `cannot write firewall rules: ${missing.join(', ')} not found`, {
    details: `install the package ${PACKAGES[backend]}; this node uses ${backend} because ${why}`,
  });
}

/**
 * Where rules of an attachment may be that left no word about it: `hints`, and what was in use in this boot. Without its
 * tools a firewall has no rules to look for.
 */
export function backendsInUse(...hints: readonly (BackendName | undefined)[]): BackendName[] {
  const inUse = readStamp()?.inUse ?? BACKENDS;
  return BACKENDS.filter((backend) => (inUse.includes(backend) || hints.includes(backend)) && isInstalled(backend));
}

export function installedBackends(): BackendName[] {
  return BACKENDS.filter(isInstalled);
}

function isInstalled(backend: BackendName): boolean {
  return TOOLS[backend].every((tool) => findTool(tool) !== undefined);
}

function look(problems: string[]): Seen {
  const attempt = <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      problems.push(messageOf(error));
      return undefined;
    }
  };
  const nat = attempt(() => saveIfSupported(4));
  const nat6 = nat === undefined ? undefined : attempt(() => saveIfSupported(6));
  return {
    chains: nat === undefined ? undefined : [...nat.keys(), ...(nat6?.keys() ?? [])],
    tables: isInstalled('nftables') ? attempt(listTables) : undefined,
  };
}

function noFirewall(number: number, problems: readonly string[]): CniError {
  const details = ['install the package iptables or nftables', ...problems].join('; ');
  return new CniError(number, 'cannot write firewall rules: neither iptables nor nftables can be used', { details });
}

/** What this boot decided; `undefined` when it did not yet, or nobody can say so. */
function readStamp(): Stamp | undefined {
  try {
    const stamp = parseStamp(readSmallFile(stampPath(), { maxBytes: MAX_STAMP_BYTES, follow: false }) ?? '');
    return stamp?.bootId === bootId() ? stamp : undefined;
  } catch {
    // None yet in this boot, or damaged.
    return undefined;
  }
}

/** Throws where the text is no JSON. */
export function parseStamp(text: string): Stamp | undefined {
  const parsed = z.safeParse(stampSchema, JSON.parse(text));
  return parsed.success ? parsed.data : undefined;
}

function remember(stamp: Stamp): void {
  writeHint(stampPath(), JSON.stringify(stamp));
}

/** Each network namespace has a firewall of its own, and nested runtimes may share /run. */
function stampPath(): string {
  return `${RUN_FOLDER}/firewall-${ownCookie()}`;
}
