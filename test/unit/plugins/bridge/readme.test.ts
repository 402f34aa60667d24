/** The bridge's README cannot rot: its example is what the plans make, its tables are the schema. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { renderResult } from '../../../../lib/cni/convert.ts';
import { renderBatch } from '../../../../lib/iproute2/batch.ts';
import { planSpoofCheck } from '../../../../lib/nft/mac-spoof.ts';
import { planSets } from '../../../../lib/nft/sets-plan.ts';
import { planBridge } from '../../../../plugins/bridge/bridge-link.ts';
import { planMasquerade } from '../../../../plugins/bridge/masquerade-iptables.ts';
import * as nftables from '../../../../plugins/bridge/masquerade-nft.ts';
import { setsMasquerade } from '../../../../plugins/bridge/masquerade-sets.ts';
import { planContainerBatch, planHostBatch, planResult } from '../../../../plugins/bridge/plan.ts';
import { bridgeSchema } from '../../../../plugins/bridge/schema.ts';
import { attachmentOf, cidr } from './fixtures.ts';

const readme = readFileSync(resolve(import.meta.dirname, '../../../../plugins/bridge/README.md'), 'utf8');

/** The texts between the code fences, in order. */
const blocks = [...readme.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, text = '']) => text);

describe('the example', () => {
  const attachment = attachmentOf(JSON.parse(blocks[0] ?? '') as object, {
    ips: [{ address: '10.22.0.2/16', gateway: '10.22.0.1' }],
  });
  const { commands, made } = planBridge({
    config: attachment.config,
    gateways: [cidr('10.22.0.1/16')],
    seen: { bridge: undefined, gateway: undefined },
    names: { bridgeMac: '02:00:00:00:00:03', gateway: undefined },
  });
  const owner = { network: 'mynet', containerId: 'web', ifname: 'eth0' };
  const elements = setsMasquerade.adding(owner, [cidr('10.22.0.2/16')], false).sets;
  const rules = planMasquerade(owner, [cidr('10.22.0.2/16')], undefined);

  test.each([
    ['the bridge', renderBatch(commands)],
    ['the pair', renderBatch(planHostBatch(attachment, '/proc/4711/fd/17'))],
    ['the container', renderBatch(planContainerBatch(attachment))],
    ['the rules', `${rules.join('\n')}\n`],
    ['the rules in nftables', nftables.planMasquerade(owner, [cidr('10.22.0.2/16')], []).toString()],
    ['the elements of sets', planSets(elements(undefined) ?? {}).join('')],
  ])('shows %s', (_what, text) => {
    expect(blocks).toContain(text);
  });

  test('shows the rules against spoofed MAC addresses', () => {
    const check = { containerId: 'web', ifname: 'eth0', port: 'veth01020304', mac: '02:00:00:00:00:02' };
    expect(readme.replaceAll('\n  ', '\n')).toContain(`\n${planSpoofCheck(check)}`);
  });

  test('shows the result, keys in order', () => {
    const result = JSON.stringify(renderResult(planResult(attachment, made), '1.1.0'));
    expect(JSON.stringify(JSON.parse(blocks.find((block) => block.includes('"interfaces"')) ?? ''))).toBe(result);
  });
});

/** Key, default and meaning of each row of the option table. */
const rows = [...readme.matchAll(/^\| `([\w.]+)` +\| (.+?) +\| (.+?) +\|$/gm)].map(
  ([, key = '', value = '', meaning = '']) => ({
    key,
    value: value.replaceAll('`', ''),
    meaning,
  }),
);

describe('the option table', () => {
  test('has every key of the schema, and no other', () => {
    const top = new Set(rows.map(({ key }) => key.split('.')[0]));
    expect([...top].sort()).toEqual(Object.keys(bridgeSchema.shape).sort());
  });

  const defaults = z.parse(bridgeSchema, {}) as { readonly [key: string]: unknown };
  test.each(rows)('$key has the default $value', ({ key, value }) => {
    const [top = '', ...rest] = key.split('.');
    const found = rest.reduce<unknown>(
      (object, part) => (object as { [key: string]: unknown } | undefined)?.[part],
      defaults[top],
    );
    expect(found === undefined ? 'none' : JSON.stringify(found)).toBe(value);
  });
});
