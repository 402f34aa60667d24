/** What cnictl can be told to do: one entry per command, with all that ./help.ts says about it. */
import { renderResult } from '../../lib/cni/convert.ts';
import { encode } from '../../lib/cni/json.ts';
import { NEWEST, SPEC_VERSIONS } from '../../lib/cni/version.ts';
import type { Attachment } from '../../lib/libcni/attachment.ts';
import { addNetwork, checkNetwork, delNetwork, statusNetwork } from '../../lib/libcni/chain.ts';
import { loadNetwork } from '../../lib/libcni/conf-dir.ts';
import { supportedVersions } from '../../lib/libcni/execute.ts';
import type { Network } from '../../lib/libcni/network.ts';
import { version } from '../../lib/sea/build-info.ts';
import type { Answer, Command, Invocation } from './command.ts';
import { collectGarbage } from './gc.ts';
import { showJournal } from './journal.ts';
import { listLeases } from './leases.ts';
import type { ParsedOptions } from './options.ts';
import { release } from './release.ts';
import { renderAttachment, renderVersions } from './render.ts';
import { confDirOf, readAttachment } from './request.ts';
import { UsageError } from './usage-error.ts';

const PER_CONTAINER = { positionals: ['NETWORK', 'NETNS'], required: 2, piped: 'json' } as const;
/** cnitool wants a namespace here as well; it means nothing. */
const PER_NODE = { positionals: ['NETWORK', 'NETNS'], options: ['json'], piped: 'json' } as const;

export const COMMANDS: { readonly [name: string]: Command } = {
  add: {
    ...PER_CONTAINER,
    summary: 'attach the container to the network',
    options: ['port', 'ip', 'ifname', 'container-id', 'json'],
    about: 'Runs ADD of each plugin in order. When one fails, those before it are undone.',
    examples: [
      'cnictl add nodecni blue',
      'cnictl add nodecni blue --port 8080:80 --port 127.0.0.1:5353:53/udp',
      'cnictl add nodecni /proc/4711/ns/net --container-id web-1 --ifname net1',
    ],
    run: add,
  },
  check: {
    ...PER_CONTAINER,
    summary: 'see whether the attachment is as ADD left it',
    options: ['ifname', 'container-id', 'json'],
    about: 'Runs CHECK of each plugin with the result and the ports of ADD; exit status 1 names what is broken.',
    examples: ['cnictl check nodecni blue'],
    run: check,
  },
  del: {
    ...PER_CONTAINER,
    summary: 'detach the container; twice does no harm',
    options: ['ifname', 'container-id', 'json'],
    about: 'Runs DEL of each plugin, the last one first. The namespace may be gone already.',
    examples: ['cnictl del nodecni blue', 'cnictl del nodecni /proc/4711/ns/net --container-id web-1 --ifname net1'],
    run: del,
  },
  status: {
    ...PER_NODE,
    required: 1,
    summary: 'see whether the network could attach a container',
    about: 'Runs STATUS of each plugin (networks of version 1.1.0 and newer).',
    examples: ['cnictl status nodecni'],
    run: status,
  },
  version: {
    ...PER_NODE,
    required: 0,
    summary: 'say which CNI versions the plugins of the network know',
    about: 'Runs VERSION of each plugin; without a network, tells about cnictl itself.',
    examples: ['cnictl version', 'cnictl version nodecni'],
    run: versions,
  },
  leases: {
    summary: 'list who holds which address, and whether they live',
    positionals: ['NETWORK'],
    required: 0,
    options: ['data-dir', 'json'],
    piped: 'text',
    about:
      'Lists attachments with addresses, pod, host ports and age, and says by what each is known to be alive or dead.\n' +
      'Changes nothing. Without NETWORK, lists all networks.',
    examples: ['cnictl leases', 'cnictl leases nodecni', 'cnictl leases nodecni --json'],
    run: listLeases,
  },
  release: {
    summary: 'free what one container holds, dead or alive',
    positionals: ['NETWORK', 'CONTAINERID'],
    required: 2,
    options: ['ifname', 'data-dir', 'json'],
    piped: 'text',
    about:
      'Frees addresses, link and rules of a container at once and asks nothing: one that lives loses its network.\n' +
      'Runs no plugin and needs no configuration. Exit status 1 when nothing is known of the container.',
    examples: ['cnictl release nodecni web-1', 'cnictl release nodecni web-1 --ifname net1'],
    run: release,
  },
  gc: {
    summary: 'free what dead containers left',
    positionals: ['NETWORK'],
    required: 1,
    options: ['dry-run', 'data-dir', 'json'],
    piped: 'text',
    about:
      'Frees addresses, links, rules and cached results of attachments that are shown to be dead, and nothing else.\n' +
      'No list of the living is needed, unlike by the verb GC. Does nothing where the network has "disableGC".',
    examples: ['cnictl gc nodecni --dry-run', 'cnictl gc nodecni', 'cnictl gc nodecni --json'],
    run: collectGarbage,
  },
  journal: {
    summary: 'list the last calls of the plugins: when, how long, with what outcome',
    positionals: [],
    required: 0,
    options: ['container', 'json'],
    piped: 'text',
    about:
      'Lists what every plugin on this node writes down by itself about its last calls, also about calls that were\n' +
      'killed: those end with the step they were in. MS counts from the start of the process, CHILDREN are its child\n' +
      'processes with their milliseconds. Calls that found nothing to do and STATUS that succeeds are not in it.',
    examples: ['cnictl journal', 'cnictl journal --container 4f1b7c', 'cnictl journal --json'],
    run: showJournal,
  },
};

async function add(invocation: Invocation): Promise<Answer> {
  const { network, attachment } = subject(invocation);
  requireCapabilities(network, invocation.options);
  const result = await addNetwork(invocation.runtime, network, attachment);
  const json = encode(renderResult(result, network.cniVersion));
  return { json, text: renderAttachment({ network: network.name, attachment, result }) };
}

async function check(invocation: Invocation): Promise<Answer> {
  const { network, attachment } = subject(invocation);
  const outcome = await checkNetwork(invocation.runtime, network, attachment);
  const what = `${attachment.ifname} of ${attachment.containerId}`;
  const said = { checked: `${what} is as ADD left it`, disabled: `network ${network.name} has CHECK disabled` };
  return { json: '', text: said[outcome] };
}

async function del(invocation: Invocation): Promise<Answer> {
  const { network, attachment } = subject(invocation);
  await delNetwork(invocation.runtime, network, attachment);
  return { json: '', text: `${attachment.ifname} of ${attachment.containerId} is detached from ${network.name}` };
}

async function status(invocation: Invocation): Promise<Answer> {
  const network = networkOf(invocation);
  const outcome = await statusNetwork(invocation.runtime, network);
  const said = {
    ready: `network ${network.name} is ready`,
    unknown: `network ${network.name} cannot be asked: its cniVersion is "${network.cniVersion}", STATUS needs 1.1.0`,
  };
  return { json: '', text: said[outcome] };
}

async function versions(invocation: Invocation): Promise<Answer> {
  const own = { cniVersion: NEWEST, supportedVersions: SPEC_VERSIONS };
  if (invocation.positionals.length === 0) {
    const text = `cnictl ${version}\nCNI versions ${SPEC_VERSIONS.join(', ')}`;
    return { json: encode({ ...own, cnictl: version }), text };
  }
  const network = networkOf(invocation);
  const types = [...new Set(network.plugins.map(({ type }) => type))];
  const known = new Map<string, readonly string[]>();
  for (const type of types) known.set(type, await supportedVersions(invocation.runtime, type));
  const json = encode({ ...own, cnictl: version, plugins: Object.fromEntries(known) });
  return { json, text: renderVersions(network, known) };
}

function networkOf({ positionals: [name = ''], env }: Invocation): Network {
  return loadNetwork(confDirOf(env), name);
}

function subject(invocation: Invocation): { network: Network; attachment: Attachment } {
  const [, netns = ''] = invocation.positionals;
  // The command line first: it is the cheaper mistake to tell of.
  const attachment = readAttachment(netns, invocation);
  return { network: networkOf(invocation), attachment };
}

/** A port that no plugin hears of would be published in silence, that is: not. CAP_ARGS is taken as cnitool takes it. */
function requireCapabilities({ name, plugins }: Network, { port, ip }: ParsedOptions): void {
  const wanted = [...(port.length > 0 ? ['portMappings'] : []), ...(ip.length > 0 ? ['ips'] : [])];
  const missing = wanted.find((capability) => plugins.every(({ capabilities }) => !capabilities.includes(capability)));
  if (missing === undefined) return;
  throw new UsageError(
    `no plugin of network "${name}" takes ${missing === 'ips' ? '--ip' : '--port'}`,
    `declare "capabilities": {"${missing}": true} in its plugin configuration`,
  );
}
