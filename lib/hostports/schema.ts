/** The configuration of host ports, in the keys of the reference’s portmap; plugins/portmap/README.md has them as a table. */
import * as z from 'zod/mini';
import { CniError, code } from '../cni/errors.ts';
import { decode, type JsonObject } from '../cni/json.ts';
import { type BackendName, REFERENCE_BACKENDS, type ReferenceBackend } from '../firewall/backend.ts';
import type { Choice } from '../firewall/decide.ts';
import { IN_SETS, RULE_LAYOUTS, refuseIptables } from '../firewall/layout.ts';
import { parseCidr, parseIp } from '../net/ip.ts';
import { isRuleText } from '../nft/transaction.ts';
import type { Mapping } from './forwarding.ts';

const DEFAULT_MARK_BIT = 13;

const port = z
  .int()
  .check(
    z.refine((number) => number >= 1 && number <= 65535, { error: ({ input }) => `${input} is no port (1 to 65535)` }),
  );

const protocol = z.string().check(
  z.refine((text) => /^(tcp|udp|sctp)$/i.test(text), {
    error: ({ input }) => `${JSON.stringify(input)} is no protocol that can be forwarded (tcp, udp or sctp)`,
  }),
);

const hostIp = z.string().check(
  z.refine((text) => text === '' || parseIp(text) !== undefined, {
    error: ({ input }) => `${JSON.stringify(input)} is no IP address`,
  }),
);

const mappingSchema = z.object({
  hostPort: port,
  containerPort: port,
  protocol,
  hostIP: z._default(hostIp, ''),
});

/** A word of a rule: a line break would end the rule and begin a command. */
const ruleWord = z.string().check(z.refine((text) => text !== '' && !/[\n\r\0]/.test(text), 'is no word of a rule'));
const conditions = z._default(z.array(ruleWord), []);

/** Addresses of the host that are somebody else's to forward. */
const excluded = z.string().check(
  z.refine((text) => (parseCidr(text)?.prefix ?? 0) > 0, {
    error: ({ input }) => `${JSON.stringify(input)} is no network such as "192.0.2.10/32"`,
  }),
);

/** A chain's name: it must not be read as an option, nor as several words. */
const chain = z.string().check(z.regex(/^[^\s"'\\!:\0-][^\s"'\\\0]{0,27}$/, 'is no name of an iptables chain'));

export const portmapSchema = z.object({
  backend: z.optional(z.string()),
  ruleLayout: z._default(
    z.enum(RULE_LAYOUTS, { error: ({ input }) => `${JSON.stringify(input)} is neither "reference" nor "sets"` }),
    'reference',
  ),
  snat: z._default(z.boolean(), true),
  masqAll: z._default(z.boolean(), false),
  markMasqBit: z.optional(
    z.int().check(z.refine((bit) => bit >= 0 && bit <= 31, 'MasqMarkBit must be between 0 and 31')),
  ),
  externalSetMarkChain: z.optional(chain),
  conditionsV4: conditions,
  conditionsV6: conditions,
  excludeCIDRs: z._default(z.array(excluded), []),
  hostPortConflict: z._default(
    z.enum(['fail', 'warn'], { error: ({ input }) => `${JSON.stringify(input)} is neither "fail" nor "warn"` }),
    'fail',
  ),
  runtimeConfig: z._default(z.object({ portMappings: z._default(z.array(mappingSchema), []) }), { portMappings: [] }),
});

export type PortmapConfig = ReturnType<typeof parsePortmapConfig>;

/** Throws code 7, with the key or the mapping that is wrong. */
export function parsePortmapConfig(raw: JsonObject) {
  const { runtimeConfig, markMasqBit, backend, ruleLayout, ...config } = decode(
    portmapSchema,
    raw,
    'portmap configuration',
  );
  if (markMasqBit !== undefined && config.externalSetMarkChain !== undefined) {
    throw new CniError(code.invalidConfig, 'Cannot specify externalSetMarkChain and markMasqBit', {
      details: 'the chain of externalSetMarkChain sets a mark of its own choice: remove markMasqBit',
    });
  }
  return {
    ...config,
    configured: configuredChoice(ruleLayout, { ...config, backend }),
    markMasqBit: markMasqBit ?? DEFAULT_MARK_BIT,
    mappings: runtimeConfig.portMappings.map(toMapping),
  };
}

interface BackendKeys {
  readonly backend: string | undefined;
  readonly externalSetMarkChain?: string | undefined;
  readonly conditionsV4: readonly string[];
  readonly conditionsV6: readonly string[];
}

/** Throws code 7. */
function configuredChoice(layout: (typeof RULE_LAYOUTS)[number], keys: LayoutKeys): Choice | undefined {
  const choice = configuredBackend(keys);
  if (layout === 'reference') return choice;
  refuseIptables('backend', keys.backend);
  const inexpressible = [
    ...(['conditionsV4', 'conditionsV6'] as const).filter((key) => keys[key].length > 0),
    ...(keys.externalSetMarkChain === undefined ? [] : ['externalSetMarkChain']),
    ...(keys.hostPortConflict === 'warn' ? ['"hostPortConflict": "warn"'] : []),
  ];
  if (inexpressible.length === 0) return IN_SETS;
  throw new CniError(code.invalidConfig, `"ruleLayout": "sets" has no form for ${inexpressible.join(', ')}`, {
    details: 'an element of a map says where a port leads, once and without conditions: remove either',
  });
}

interface LayoutKeys extends BackendKeys {
  readonly hostPortConflict: 'fail' | 'warn';
}

/** By the key itself, else by options that only one of them has; `undefined` when nothing says. Throws code 7. */
function configuredBackend({ backend, ...keys }: BackendKeys): Choice | undefined {
  if (backend !== undefined && !isBackend(backend)) {
    throw new CniError(code.invalidConfig, `unrecognized backend ${JSON.stringify(backend)}`, {
      details: `known are ${REFERENCE_BACKENDS.map((name) => `"${name}"`).join(' and ')}`,
    });
  }
  const specific = { iptables: optionsOf('iptables', keys), nftables: optionsOf('nftables', keys) };
  const chosen = backend ?? REFERENCE_BACKENDS.find((name) => specific[name].length > 0);
  if (chosen === undefined) return undefined;
  const other = chosen === 'iptables' ? 'nftables' : 'iptables';
  if (specific[other].length > 0) {
    throw new CniError(
      code.invalidConfig,
      `${chosen} backend was requested but configuration contains ${other}-specific options [${specific[other].join(' ')}]`,
      {
        details:
          'conditions are words of a rule: of iptables "!", "-d", "192.0.2.0/24", of nftables "ip", "daddr", "!=", "192.0.2.0/24"',
      },
    );
  }
  if (chosen === 'nftables') requireRuleTexts(keys);
  const why = backend === undefined ? `it has ${specific[chosen].join(' and ')}` : 'it says so by "backend"';
  return { backend: chosen, why: `the configuration wants it: ${why}` };
}

function isBackend(name: string): name is ReferenceBackend {
  return (REFERENCE_BACKENDS as readonly string[]).includes(name);
}

/** The words of an iptables rule begin with an option or a negation. */
function optionsOf(
  backend: ReferenceBackend,
  { externalSetMarkChain, ...keys }: Omit<BackendKeys, 'backend'>,
): string[] {
  const style = backend === 'iptables' ? /^[-!]/ : /^[^-!]/;
  const conditions = (['conditionsV4', 'conditionsV6'] as const).filter((key) => style.test(keys[key][0] ?? ''));
  return backend === 'iptables' && externalSetMarkChain !== undefined
    ? ['externalSetMarkChain', ...conditions]
    : conditions;
}

function requireRuleTexts(keys: Omit<BackendKeys, 'backend'>): void {
  const bad = (['conditionsV4', 'conditionsV6'] as const).find((key) => !isRuleText(keys[key].join(' ')));
  if (bad === undefined) return;
  throw new CniError(code.invalidConfig, `invalid portmap configuration: "${bad}": is no part of an nftables rule`, {
    details: 'quotes and braces have to be closed, and there can be no ; # or \\',
  });
}

const portsOnly = z.object({ runtimeConfig: z.optional(z.object({ portMappings: z.optional(z.array(z.unknown())) })) });

/** The backend that the configuration names, for DEL, which must not fail over a bad value. */
export function namedBackend(raw: JsonObject): BackendName | undefined {
  try {
    return parsePortmapConfig(raw).configured?.backend;
  } catch {
    // Whatever it wanted, nothing was made of it.
    return undefined;
  }
}

/** True when the runtime asks for forwarded ports, however badly: for DEL, which must not fail over a bad value. */
export function asksForPorts(raw: JsonObject): boolean {
  try {
    return (decode(portsOnly, raw, 'portmap configuration').runtimeConfig?.portMappings ?? []).length > 0;
  } catch {
    // It asks for something; DEL then looks what there is.
    return true;
  }
}

function toMapping({ hostIP, protocol: spelling, ...ports }: z.output<typeof mappingSchema>): Mapping {
  const lower = spelling.toLowerCase() as Mapping['protocol'];
  return { ...ports, protocol: lower, spelling, hostIp: parseIp(hostIP)?.text ?? '' };
}
