/** Whether bridge takes host ports, and under which keys. */

import { expect, test } from 'vitest';
import { code } from '../../../../lib/cni/errors.ts';
import { portKeys } from '../../../../plugins/bridge/host-ports.ts';
import { configured } from './fixtures.ts';

const capabilities = { portMappings: true };
const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];

test.each([
  ['nothing is said', {}, undefined],
  ['other capabilities are', { capabilities: { mac: true, portMappings: false } }, undefined],
  ['the runtime hands on something else', { runtimeConfig: { mac: '02:00:00:00:00:09' } }, undefined],
  ['there are but portmap’s keys', { portmap: { snat: false } }, undefined],
  ['portmap’s are null', { runtimeConfig: { portMappings: null } }, undefined],
  ['the capability is declared', { capabilities }, { runtimeConfig: {} }],
  [
    'in other letter case',
    { Capabilities: capabilities, PORTMAP: { snat: false } },
    { snat: false, runtimeConfig: {} },
  ],
  [
    'with ports',
    { capabilities, portmap: { snat: false }, runtimeConfig: { portMappings, mac: '02:00:00:00:00:09' } },
    { snat: false, runtimeConfig: { portMappings, mac: '02:00:00:00:00:09' } },
  ],
  [
    'the runtime kept the capability to itself',
    { portmap: {}, runtimeConfig: { portMappings } },
    { runtimeConfig: { portMappings } },
  ],
  ['ports are handed to every plugin of a list', { runtimeConfig: { portMappings } }, undefined],
])('portKeys() where %s', (_what, raw, expected) => {
  expect(portKeys(raw)).toEqual(expected);
});

test('the configuration holds them, but for DEL, which needs none', () => {
  expect(configured({ capabilities, runtimeConfig: { portMappings } }).ports?.mappings).toMatchObject([
    { hostPort: 8080 },
  ]);
  expect(configured({}).ports).toBeUndefined();
  const wrong = { capabilities, portmap: { backend: 'pf' } };
  expect(() => configured(wrong)).toThrow(expect.objectContaining({ code: code.invalidConfig }));
  expect(configured(wrong, 'DEL').ports).toBeUndefined();
});
