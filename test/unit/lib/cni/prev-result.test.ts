import { expect, test } from 'vitest';
import { prevResult, prevResultIfReadable, requirePrevResult } from '../../../../lib/cni/prev-result.ts';
import { parseNetConf } from '../../../../lib/cni/request.ts';

const good = { cniVersion: '1.0.0', ips: [{ address: '10.0.0.2/24' }] };

function config(keys: object) {
  return parseNetConf(JSON.stringify({ cniVersion: '1.1.0', name: 'n', ...keys }));
}

test.each([[{}], [{ prevResult: null }], [{ prevResult: good, PREVRESULT: null }]])('%j has no prevResult', (keys) => {
  expect(prevResult(config(keys))).toBeUndefined();
  expect(prevResultIfReadable(config(keys))).toBeUndefined();
  expect(() => requirePrevResult(config(keys))).toThrow('Required prevResult missing');
});

test.each([[{ prevResult: good }], [{ PrevResult: good }], [{ prevResult: {}, prevresult: good }]])(
  '%j has one, the last spelling',
  (keys) => {
    for (const read of [prevResult, prevResultIfReadable, requirePrevResult]) {
      expect(read(config(keys))?.ips).toEqual([{ address: '10.0.0.2/24' }]);
    }
  },
);

test.each([['text'], [[]], [{ ips: [{ address: 'x' }] }], [{ cniVersion: '0.2.0' }]])('a torn one (%j)', (torn) => {
  expect(() => prevResult(config({ prevResult: torn }))).toThrow(expect.objectContaining({ code: 7 }));
  expect(() => requirePrevResult(config({ prevResult: torn }))).toThrow(expect.objectContaining({ code: 7 }));
  expect(prevResultIfReadable(config({ prevResult: torn }))).toBeUndefined();
});
