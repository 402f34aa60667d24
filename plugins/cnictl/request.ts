/** From command line and environment to one request; the variables are cnitool's. */
import { CniError, code, messageOf } from '../../lib/cni/errors.ts';
import { isObject, type JsonObject } from '../../lib/cni/json.ts';
import type { Environment } from '../../lib/cni/request.ts';
import type { Attachment, CniArgs } from '../../lib/libcni/attachment.ts';
import { parseIp } from '../../lib/net/ip.ts';
import { containerIdOf, netnsPath } from './container.ts';
import type { ParsedOptions } from './options.ts';
import { parsePort } from './ports.ts';
import { UsageError } from './usage-error.ts';

const DEFAULT_CONF_DIR = '/etc/cni/net.d';
const DEFAULT_PATH = '/opt/cni/bin';
const DEFAULT_IFNAME = 'eth0';

/** Folder of the network configurations. */
export function confDirOf(env: Environment): string {
  return nonEmpty(env.NETCONFPATH) ?? DEFAULT_CONF_DIR;
}

/** Folders that are searched for plugins. */
export function pluginPathOf(env: Environment): readonly string[] {
  return (nonEmpty(env.CNI_PATH) ?? DEFAULT_PATH).split(':').filter((folder) => folder !== '');
}

/** The attachment that is meant. Throws UsageError, or code 4 for an environment variable that makes no sense. */
export function readAttachment(
  netns: string,
  { options, env, cwd }: { options: ParsedOptions; env: Environment; cwd: string },
): Attachment {
  const path = netnsPath(netns, cwd);
  const args = parseCniArgs(env.CNI_ARGS);
  const capabilityArgs = withFlags(parseCapabilityArgs(env.CAP_ARGS), options);
  return {
    containerId: options.containerId ?? containerIdOf(path),
    netns: path,
    ifname: options.ifname ?? nonEmpty(env.CNI_IFNAME) ?? DEFAULT_IFNAME,
    ...(args === undefined ? {} : { args }),
    ...(capabilityArgs === undefined ? {} : { capabilityArgs }),
  };
}

/** CNI_ARGS: `K=V;K=V`. */
function parseCniArgs(text = ''): CniArgs | undefined {
  if (text === '') return undefined;
  return text.split(';').map((pair) => {
    const [key = '', value = '', ...rest] = pair.split('=');
    if (key !== '' && value !== '' && rest.length === 0) return [key, value] as const;
    throw new CniError(code.invalidEnvironment, `invalid CNI_ARGS pair ${JSON.stringify(pair)}`, {
      details: 'CNI_ARGS is a list like K=V;K=V',
    });
  });
}

/** CAP_ARGS: a JSON object, a value for each capability. */
function parseCapabilityArgs(text = ''): JsonObject | undefined {
  if (text === '') return undefined;
  const details =
    'it is a JSON object like {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(code.invalidEnvironment, `cannot read CAP_ARGS: ${messageOf(error)}`, { details, cause: error });
  }
  if (isObject(value)) return value;
  throw new CniError(code.invalidEnvironment, 'cannot read CAP_ARGS: it is no JSON object', { details });
}

/** Ports and addresses of the command line, after those of CAP_ARGS. */
function withFlags(capabilityArgs: JsonObject | undefined, { port, ip }: ParsedOptions): JsonObject | undefined {
  const flags = { portMappings: port.map(parsePort), ips: ip.map(parseAddress) };
  const given = Object.entries(flags).filter(([, values]) => values.length > 0);
  if (given.length === 0) return capabilityArgs;
  const added = given.map(([key, values]) => {
    const before = capabilityArgs?.[key];
    return [key, [...(Array.isArray(before) ? before : []), ...values]];
  });
  return { ...capabilityArgs, ...Object.fromEntries(added) };
}

function parseAddress(text: string): string {
  const ip = parseIp(text);
  if (ip !== undefined) return ip.text;
  throw new UsageError(
    `cannot read --ip ${JSON.stringify(text)}: it is no IP address`,
    'write --ip 10.62.0.7 or --ip fd62::7',
  );
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
