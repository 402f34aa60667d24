/** What is asked for in vain is told of, one sentence each, and never refused. */

import { describe, expect, test } from 'vitest';
import { pointlessMasquerade, pointlessRoutes } from '../../../../plugins/bridge/pointless.ts';
import { attachmentOf, cidr, configured } from './fixtures.ts';

const ipam = { type: 'host-local' };
const IPV4 = { ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.1' }] };
const without = (key: string) =>
  `"${key}" does nothing without "ipam.type": the container gets no address; configure "ipam" or remove it`;
const ISOLATED =
  '"hairpinMode" does nothing beside "portIsolation": an isolated port gets nothing back of what it sent; remove one of them';

const UNDECLARED =
  '"portmap" does nothing without "capabilities": {"portMappings": true} beside it: the runtime hands on no host ports; set it';

describe('of keys', () => {
  test.each([
    [{}, []],
    [{ hairpinMode: true }, []],
    [{ isGateway: true }, [without('isGateway')]],
    [{ isDefaultGateway: true, ipMasq: true }, ['isDefaultGateway', 'ipMasq'].map(without)],
    [{ ipMasq: 'v6', forceAddress: true }, ['ipMasq', 'forceAddress'].map(without)],
    [{ ipam, isDefaultGateway: true, ipMasq: true, forceAddress: true, hairpinMode: true }, []],
    [{ ipam, isGateway: true, forceAddress: true, portIsolation: true }, []],
    [
      { ipam, forceAddress: true },
      ['"forceAddress" does nothing without "isGateway": the bridge gets no address; remove it'],
    ],
    [{ portmap: {} }, [UNDECLARED]],
    [{ portmap: {}, capabilities: { portMappings: false } }, [UNDECLARED]],
    [{ portmap: {}, capabilities: { portMappings: true } }, []],
    [{ portmap: {}, runtimeConfig: { portMappings: [] } }, []],
    [{ hairpinMode: true, portIsolation: true }, [ISOLATED]],
    [{ ipam, hairpinMode: true, portIsolation: true }, [ISOLATED]],
  ])('%j: %j', (keys, expected) => {
    expect(configured(keys).pointless).toEqual(expected);
  });
});

describe('of routes', () => {
  const find = (result: object) => pointlessRoutes(attachmentOf({}, result).addressing);
  const stranded = (dst: string, family: number) =>
    `the route to ${dst} is of no use: the container gets no IPv${family} address; add a range or remove it`;

  test.each([
    [{}, []],
    [{ ...IPV4, routes: [{ dst: '0.0.0.0/0' }] }, []],
    [{ ...IPV4, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] }, [stranded('::/0', 6)]],
    [
      { ips: [{ address: 'fd00::5/64' }], routes: [{ dst: '10.0.0.0/8' }, { dst: '10.0.0.0/8', priority: 1 }] },
      [stranded('10.0.0.0/8', 4)],
    ],
  ])('%j: %j', (result, expected) => {
    expect(find(result)).toEqual(expected);
  });
});

describe('of masquerade', () => {
  const find = (keys: object, result: object, held: readonly string[]) => {
    const { config, addressing } = attachmentOf({ ipam, ...keys }, result);
    return pointlessMasquerade(config, addressing, held.map(cidr));
  };
  const useless = (state: string) => [
    `"ipMasq" is of no use to the container: ${state}; set "isGateway", or remove "ipMasq"`,
  ];

  test('nothing where the bridge has the gateway address', () => {
    expect(find({ ipMasq: true }, IPV4, ['192.0.2.1/24', '10.1.0.1/24'])).toEqual([]);
    expect(find({ ipMasq: true, isGateway: true }, IPV4, ['10.1.0.1/24'])).toEqual([]);
  });

  test('that it has not', () => {
    expect(find({ ipMasq: true }, IPV4, ['10.1.0.2/24'])).toEqual(useless('its gateway 10.1.0.1 is not this host'));
    expect(find({ ipMasq: 'v4' }, { ips: [{ address: '10.1.0.5/24' }] }, [])).toEqual(useless('it has no gateway'));
  });

  test('nothing without masquerade', () => {
    expect(find({}, IPV4, [])).toEqual([]);
  });
});
