/** One of the two that are compared: a world in which one make of plugins attached what a configuration says. */

import { type JsonObject, stdinFor } from '../support/networks.ts';
import { callPlugin, ours, type PluginEnded, reference } from '../support/plugins.ts';
import { createWorld, type World } from '../support/world.ts';
import { type Attachment, attachmentsOf, type Configuration, versionOf } from './configuration.ts';

export type Maker = 'reference' | 'ours';

const bins: Readonly<Record<Maker, string>> = { reference, ours };

export class Side implements AsyncDisposable {
  readonly configuration: Configuration;
  readonly world: World;
  /** Of each attachment's last plugin. */
  readonly #results: (JsonObject | undefined)[] = [];

  private constructor(configuration: Configuration, world: World) {
    this.configuration = configuration;
    this.world = world;
  }

  /** A world that is ready for the first ADD. */
  static async prepare(configuration: Configuration): Promise<Side> {
    const world = await createWorld();
    const pods = Math.max(...attachmentsOf(configuration).map(({ pod = 1 }) => pod));
    for (let pod = 1; pod <= pods; pod += 1) await world.pod();
    await configuration.prepare?.(world);
    return new Side(configuration, world);
  }

  /** Every plugin of every attachment, to the first that fails. */
  async add(maker: Maker): Promise<PluginEnded[]> {
    const ended: PluginEnded[] = [];
    for (const attachment of attachmentsOf(this.configuration)) {
      let prevResult = this.configuration.prevResult;
      for (const plugin of this.#plugins()) {
        const added = await this.#call({ verb: 'ADD', maker, plugin, prevResult }, attachment);
        ended.push(added);
        if (added.exitCode !== 0) return ended;
        prevResult = added.json;
      }
      this.#results.push(prevResult);
    }
    return ended;
  }

  /** The same attachments, as libcni goes through them: forwards, and backwards for DEL. */
  async perform(verb: 'CHECK' | 'DEL', maker: Maker): Promise<PluginEnded[]> {
    const ended: PluginEnded[] = [];
    const plugins = verb === 'DEL' ? this.#plugins().toReversed() : this.#plugins();
    for (const [index, attachment] of attachmentsOf(this.configuration).entries()) {
      const prevResult = this.hasCheck ? this.#results[index] : undefined;
      for (const plugin of plugins) ended.push(await this.#call({ verb, maker, plugin, prevResult }, attachment));
    }
    return ended;
  }

  /** CHECK, and a result for DEL, came with 0.4.0. */
  get hasCheck(): boolean {
    return versionOf(this.configuration) >= '0.4.0';
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.world[Symbol.asyncDispose]();
  }

  #plugins(): string[] {
    return this.configuration.plugins.map(({ type }) => String(type));
  }

  #call({ verb, maker, plugin, prevResult }: OneCall, attachment: Attachment): Promise<PluginEnded> {
    const { pod = 1, containerId = `container${pod}`, ifname = 'eth0', args, runtimeConfig } = attachment;
    const config = stdinFor(this.#conflist(attachment), plugin, {
      prevResult,
      ...(runtimeConfig && { runtimeConfig }),
    });
    const netns = `/run/netns/${this.world.id}-pod${pod}`;
    // What only the reference has is found in the end.
    const env = { CNI_PATH: `${bins[maker]}:${reference}` };
    const call = { plugin, command: verb, netns, containerId, ifname, config, bin: bins[maker], env };
    const wrap = this.world.apart.bind(this.world);
    return callPlugin(this.world, { ...call, wrap, ...(args !== undefined && { args }) });
  }

  #conflist({ network = 'testnet', over = {} }: Attachment) {
    const [first, ...rest] = this.configuration.plugins;
    const text = JSON.stringify([{ ...first, ...over }, ...rest]).replaceAll('@', this.world.folder);
    const plugins = JSON.parse(text) as JsonObject[];
    return { name: network, cniVersion: versionOf(this.configuration), plugins };
  }
}

interface OneCall {
  readonly verb: string;
  readonly maker: Maker;
  readonly plugin: string;
  readonly prevResult: JsonObject | undefined;
}
