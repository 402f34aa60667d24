/** flannel's README cannot rot: its example is what the plan makes, its table is the schema. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { encodeCompact } from '../../../../lib/cni/json.ts';
import { planDelegate } from '../../../../plugins/flannel/plan.ts';
import { flannelSchema, parseConfig } from '../../../../plugins/flannel/schema.ts';
import { parseSubnetEnv } from '../../../../plugins/flannel/subnet-env.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';

const readme = readFileSync(resolve(import.meta.dirname, '../../../../plugins/flannel/README.md'), 'utf8');
const [list = '', env = '', made = ''] = [...readme.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, text = '']) => text);

test('the example is what the plan makes', () => {
  const { plugins, ...conflist } = JSON.parse(list) as { plugins: object[] };
  const call = fakeCall({ ...conflist, ...plugins[0] });
  const read = parseSubnetEnv(env);
  if ('missing' in read) throw new Error('the example lacks keys');
  expect(encodeCompact(planDelegate(call.config, parseConfig(call), read))).toBe(JSON.stringify(JSON.parse(made)));
});

describe('the option table', () => {
  const rows = [...readme.matchAll(/^\| `(\w+)` +\| (\S+) +\| .+? +\|$/gm)].map(([, key = '', value = '']) => [
    key,
    value,
  ]);
  const parsed = z.parse(flannelSchema, {}) as { readonly [key: string]: unknown };
  const options = rows.filter(([key = '']) => key in flannelSchema.shape);

  test('has every key of the schema', () => {
    expect(options.map(([key]) => key).sort()).toEqual(Object.keys(flannelSchema.shape).sort());
  });

  test.each(options)('%s has the default %s', (key = '', value = '') => {
    const found = parsed[key];
    const text = typeof found === 'string' ? found : JSON.stringify(found);
    expect(value.replaceAll('`', '')).toBe(text ?? 'none');
  });
});
