/**
 * Results in the shape of every specification version, both ways. Inside there is only `Result`; what each older
 * shape loses is documented at its renderer. Key order is the reference's (its 1.x results sort their keys).
 */
import * as z from 'zod/mini';
import { formatCidr, parseCidr, parseIp } from '../net/ip.ts';
import { CniError, code } from './errors.ts';
import { decode, isObject, type JsonObject } from './json.ts';
import type { Dns, Interface, IpConfig, Result, Route } from './result.ts';
import { DEFAULT_VERSION, type ResultShape, resultShape, SPEC_VERSIONS } from './version.ts';

/** `result` as the JSON object that a configuration of `version` ('' means the oldest) gets. */
export function renderResult(result: Result, version: string): JsonObject {
  const cniVersion = version === '' ? DEFAULT_VERSION : version;
  const shape = resultShape(cniVersion);
  if (shape === undefined) {
    throw new CniError(code.incompatibleVersion, `no converter for CNI result version 1.1.0 to ${cniVersion}`);
  }
  return RENDER[shape](result, cniVersion);
}

const RENDER: Record<ResultShape, (result: Result, cniVersion: string) => JsonObject> = {
  current: renderCurrent,
  versioned: renderVersioned,
  ip4ip6: renderIp4Ip6,
};

/** 1.0.0 and 1.1.0: nothing is lost, empty lists and an empty `dns` are left out. */
function renderCurrent(result: Result, cniVersion: string): JsonObject {
  return sparse({
    cniVersion,
    dns: emptyToUndefined(sortedDns(result.dns)),
    interfaces: nonEmpty(result.interfaces.map(sortedInterface)),
    ips: nonEmpty(
      result.ips.map(({ address, gateway, interface: index }) => sparse({ address, gateway, interface: index })),
    ),
    routes: nonEmpty(result.routes.map(sortedRoute)),
  });
}

/** 0.3.0 to 0.4.0: addresses say their family; interfaces lose mtu, socketPath and pciID; `dns` is always there. */
function renderVersioned(result: Result, cniVersion: string): JsonObject {
  return sparse({
    cniVersion,
    interfaces: nonEmpty(result.interfaces.map(({ name, mac, sandbox }) => sparse({ name, mac, sandbox }))),
    ips: nonEmpty(
      result.ips.map(({ address, gateway, interface: index }) =>
        sparse({ version: String(familyOf(address)), interface: index, address, gateway }),
      ),
    ),
    routes: nonEmpty(result.routes.map(plainRoute)),
    dns: plainDns(result.dns),
  });
}

/** 0.1.0 and 0.2.0: the first address of each family with that family's routes; no interfaces. */
function renderIp4Ip6(result: Result, cniVersion: string): JsonObject {
  const ip4 = renderFamily(result, 4);
  const ip6 = renderFamily(result, 6);
  if (ip4 === undefined && ip6 === undefined) {
    throw new CniError(
      code.incompatibleVersion,
      `cannot convert the result to version ${cniVersion}: no valid IP addresses`,
      {
        details: 'results before 0.3.0 cannot describe an attachment without an address: raise "cniVersion"',
      },
    );
  }
  return sparse({ cniVersion, ip4, ip6, dns: plainDns(result.dns) });
}

function renderFamily(result: Result, family: 4 | 6): JsonObject | undefined {
  const first = result.ips.find(({ address }) => familyOf(address) === family);
  if (first === undefined) return undefined;
  const routes = result.routes.filter(({ dst }) => familyOf(dst) === family).map(({ dst, gw }) => sparse({ dst, gw }));
  return sparse({ ip: first.address, gateway: first.gateway, routes: nonEmpty(routes) });
}

function sortedInterface({ mac, mtu, name, pciID, sandbox, socketPath }: Interface): JsonObject {
  return sparse({ mac, mtu: zeroToUndefined(mtu), name, pciID, sandbox, socketPath });
}

function sortedRoute({ advmss, dst, gw, mtu, priority, scope, table }: Route): JsonObject {
  return sparse({
    advmss: zeroToUndefined(advmss),
    dst,
    gw,
    mtu: zeroToUndefined(mtu),
    priority: zeroToUndefined(priority),
    scope,
    table,
  });
}

/** In the order of the reference's keys; what is not set is left out. */
export function plainRoute({ dst, gw, mtu, advmss, priority, table, scope }: Route): JsonObject {
  return sparse({
    dst,
    gw,
    mtu: zeroToUndefined(mtu),
    advmss: zeroToUndefined(advmss),
    priority: zeroToUndefined(priority),
    table,
    scope,
  });
}

function plainDns({ nameservers, domain, search, options }: Dns): JsonObject {
  return sparse({
    nameservers: nonEmpty(nameservers),
    domain: domain === '' ? undefined : domain,
    search: nonEmpty(search),
    options: nonEmpty(options),
  });
}

function sortedDns(dns: Dns): JsonObject {
  const { domain, nameservers, options, search } = plainDns(dns);
  return sparse({ domain, nameservers, options, search });
}

function sparse(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== ''));
}

function nonEmpty<T>(list: readonly T[] | undefined): readonly T[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list;
}

function emptyToUndefined(object: JsonObject): JsonObject | undefined {
  return Object.keys(object).length === 0 ? undefined : object;
}

function zeroToUndefined(number: number | undefined): number | undefined {
  return number === 0 ? undefined : number;
}

function familyOf(cidr: string): 4 | 6 {
  return cidr.includes(':') ? 6 : 4;
}

/**
 * The result in `value`, read in the shape of `configVersion` ('' means the oldest). Its own `cniVersion` may differ
 * inside that shape's family; a missing one means the configuration's. `what` names the value in errors (code 7).
 */
export function parseResult(value: unknown, configVersion: string, what: string): Result {
  const shape = resultShape(configVersion === '' ? DEFAULT_VERSION : configVersion);
  if (shape === undefined) {
    throw new CniError(
      code.incompatibleVersion,
      `could not parse ${what}: unsupported CNI result version ${JSON.stringify(configVersion)}`,
    );
  }
  if (!isObject(value)) throw new CniError(code.invalidConfig, `could not parse ${what}: it is no JSON object`);
  requireSameShape(value, shape, what);
  return PARSE[shape](value, what);
}

function requireSameShape(value: JsonObject, shape: ResultShape, what: string): void {
  const { cniVersion } = decode(versionOnly, value, what);
  if (cniVersion === undefined || cniVersion === '' || resultShape(cniVersion) === shape) return;
  const family = SPEC_VERSIONS.filter((known) => resultShape(known) === shape).join(' ');
  throw new CniError(
    code.invalidConfig,
    `could not parse ${what}: result type supports [${family}] but its cniVersion is ${JSON.stringify(cniVersion)}`,
  );
}

const versionOnly = z.object({ cniVersion: z.optional(z.string()) });

const cidr = canonical((text) => {
  const parsed = parseCidr(text);
  return parsed && formatCidr(parsed);
}, 'is no CIDR like 10.1.0.5/24');
const address = z.optional(canonical((text) => (text === '' ? '' : parseIp(text)?.text), 'is no IP address'));
const index = z.optional(z.int());
const number = z.optional(z.int());
const text = z.optional(z.string());
const texts = z.optional(z.array(z.string()));

const routeSchema = z.object({
  dst: cidr,
  gw: address,
  mtu: number,
  advmss: number,
  priority: number,
  table: number,
  scope: number,
});
const dnsSchema = z.object({ nameservers: texts, domain: text, search: texts, options: texts });
const familySchema = z.object({ ip: cidr, gateway: address, routes: z._default(z.array(routeSchema), []) });
const interfaceSchema = z.object({
  name: z._default(z.string(), ''),
  mac: text,
  mtu: number,
  sandbox: text,
  socketPath: text,
  pciID: text,
});

/** A text that is printed as Go prints it, however another plugin wrote it. */
function canonical(read: (text: string) => string | undefined, problem: string) {
  return z.pipe(
    z.string(),
    z.transform((text, context) => {
      const value = read(text);
      if (value === undefined) context.issues.push({ code: 'custom', message: problem, input: text });
      return value ?? text;
    }),
  );
}

const currentSchema = z.object({
  interfaces: z._default(z.array(interfaceSchema), []),
  ips: z._default(z.array(z.object({ address: cidr, gateway: address, interface: index })), []),
  routes: z._default(z.array(routeSchema), []),
  dns: z._default(dnsSchema, {}),
});
const oldestSchema = z.object({
  ip4: z.optional(familySchema),
  ip6: z.optional(familySchema),
  dns: z._default(dnsSchema, {}),
});

const PARSE: Record<ResultShape, (value: JsonObject, what: string) => Result> = {
  current: parseCurrent,
  versioned: parseCurrent,
  ip4ip6: parseIp4Ip6,
};

/** Routes as configurations hold them, to be rendered by plainRoute(). `what` names the list in errors (code 7). */
export function parseRoutes(value: unknown, what: string): Route[] {
  return decode(z.array(routeSchema), value, what).map((item) => sparse(item) as unknown as Route);
}

function parseCurrent(value: JsonObject, what: string): Result {
  const parsed = decode(currentSchema, value, what);
  return {
    interfaces: parsed.interfaces.map((item) => sparse(item) as unknown as Interface),
    ips: parsed.ips.map((item) => sparse(item) as unknown as IpConfig),
    routes: parsed.routes.map((item) => sparse(item) as unknown as Route),
    dns: sparse(parsed.dns) as Dns,
  };
}

function parseIp4Ip6(value: JsonObject, what: string): Result {
  const parsed = decode(oldestSchema, value, what);
  const families = [parsed.ip4, parsed.ip6].filter((family) => family !== undefined);
  return {
    interfaces: [],
    ips: families.map(({ ip, gateway }) => sparse({ address: ip, gateway }) as unknown as IpConfig),
    routes: families.flatMap(({ routes }) => routes.map((item) => sparse(item) as unknown as Route)),
    dns: sparse(parsed.dns) as Dns,
  };
}
