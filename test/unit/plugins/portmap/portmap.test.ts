/** The verbs as far as they touch nothing of the host. */

import { describe, expect, test } from 'vitest';
import { dispatch } from '../../../../lib/cni/dispatch.ts';
import { portmap } from '../../../../plugins/portmap/portmap.ts';

async function call(command: string, config: object) {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: '1234',
    CNI_NETNS: '/run/netns/none',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
  };
  const host = { builtins: new Map(), warn: () => {}, checkpoint: async () => {} };
  const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'test', type: 'portmap', ...config });
  const outcome = await dispatch({
    plugin: portmap,
    env,
    readStdin: () => stdin,
    host,
    isOwnNetns: () => false,
  });
  return outcome.stdout === '' ? outcome.exitCode : (JSON.parse(outcome.stdout) as object);
}

const ports = (hostPort: number) => ({
  runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] },
});
const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.88.0.5/16' }], routes: [{ dst: '0.0.0.0/0' }] };

describe('ADD', () => {
  test('without ports returns prevResult', async () => {
    expect(await call('ADD', { prevResult })).toEqual(prevResult);
  });

  test('without prevResult says where portmap belongs', async () => {
    expect(await call('ADD', ports(8080))).toMatchObject({ code: 7, msg: 'must be called as chained plugin' });
  });

  test('refuses a bad port before it does anything', async () => {
    expect(await call('ADD', { ...ports(0), prevResult })).toMatchObject({
      code: 7,
      msg: 'invalid portmap configuration: "runtimeConfig.portMappings[0].hostPort": 0 is no port (1 to 65535)',
    });
  });

  test('without an address to forward to returns prevResult', async () => {
    const none = { cniVersion: '1.1.0', ips: [] };
    expect(await call('ADD', { ...ports(8080), prevResult: none })).toEqual({ cniVersion: '1.1.0' });
  });
});

test('CHECK without prevResult', async () => {
  expect(await call('CHECK', ports(8080))).toMatchObject({ code: 7, msg: 'Required prevResult missing' });
});

test('GC without a list of valid attachments', async () => {
  expect(await call('GC', {})).toMatchObject({ code: 7 });
});
