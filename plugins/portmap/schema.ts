/** The configuration of portmap, in the reference's keys; README.md has them as a table. */
import * as z from 'zod/mini';
import { CniError, code } from '../../lib/cni/errors.ts';
import { decode, type JsonObject } from '../../lib/cni/json.ts';
import { parseIp } from '../../lib/net/ip.ts';
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

/** A word of an iptables rule: a line break would end the rule and begin a command. */
const ruleWord = z
  .string()
  .check(z.refine((text) => text !== '' && !/[\n\r\0]/.test(text), 'is no word of an iptables rule'));
const conditions = z._default(z.array(ruleWord), []);

/** A chain's name: it must not be read as an option, nor as several words. */
const chain = z.string().check(z.regex(/^[^\s"'\\!:\0-][^\s"'\\\0]{0,27}$/, 'is no name of an iptables chain'));

export const portmapSchema = z.object({
  backend: z.optional(z.string()),
  snat: z._default(z.boolean(), true),
  masqAll: z._default(z.boolean(), false),
  markMasqBit: z.optional(
    z.int().check(z.refine((bit) => bit >= 0 && bit <= 31, 'MasqMarkBit must be between 0 and 31')),
  ),
  externalSetMarkChain: z.optional(chain),
  conditionsV4: conditions,
  conditionsV6: conditions,
  runtimeConfig: z._default(z.object({ portMappings: z._default(z.array(mappingSchema), []) }), { portMappings: [] }),
});

export type PortmapConfig = ReturnType<typeof parsePortmapConfig>;

/** Throws code 7, with the key or the mapping that is wrong. */
export function parsePortmapConfig(raw: JsonObject) {
  const { runtimeConfig, markMasqBit, backend, ...config } = decode(portmapSchema, raw, 'portmap configuration');
  if (markMasqBit !== undefined && config.externalSetMarkChain !== undefined) {
    throw new CniError(code.invalidConfig, 'Cannot specify externalSetMarkChain and markMasqBit', {
      details: 'the chain of externalSetMarkChain sets a mark of its own choice: remove markMasqBit',
    });
  }
  requireIptables(backend, config);
  return {
    ...config,
    markMasqBit: markMasqBit ?? DEFAULT_MARK_BIT,
    mappings: runtimeConfig.portMappings.map(toMapping),
  };
}

const portsOnly = z.object({ runtimeConfig: z.optional(z.object({ portMappings: z.optional(z.array(z.unknown())) })) });

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

function requireIptables(
  backend: string | undefined,
  config: { conditionsV4: readonly string[]; conditionsV6: readonly string[] },
): void {
  if (backend === 'nftables') {
    throw new CniError(code.invalidConfig, 'cannot use the backend "nftables": it comes in a later version', {
      details: 'remove "backend" from the portmap configuration, or set it to "iptables"',
    });
  }
  if (backend !== undefined && backend !== 'iptables') {
    throw new CniError(code.invalidConfig, `unrecognized backend ${JSON.stringify(backend)}`, {
      details: 'known is "iptables"',
    });
  }
  const foreign = (['conditionsV4', 'conditionsV6'] as const).filter((key) => /^[^!-]/.test(config[key][0] ?? ''));
  if (foreign.length === 0) return;
  throw new CniError(
    code.invalidConfig,
    `iptables backend was requested but configuration contains nftables-specific options [${foreign.join(' ')}]`,
    { details: 'conditions are words of an iptables rule, such as "-d", "192.0.2.0/24"' },
  );
}
