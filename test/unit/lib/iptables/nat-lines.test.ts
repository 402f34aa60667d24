/** Replacing rules and taking lines back. */

import { describe, expect, test } from 'vitest';
import { inverseLines, replaceRules } from '../../../../lib/iptables/nat-lines.ts';

describe('replaceRules()', () => {
  test('writes nothing when nothing changes', () => {
    expect(replaceRules('C', ['a', 'b'], ['a', 'b'])).toEqual([]);
  });

  test('only appends when everything stays', () => {
    expect(replaceRules('C', ['a'], ['a', 'b'])).toEqual(['-A C b']);
  });

  test('takes all out and puts the rest back in order when a rule goes', () => {
    expect(replaceRules('C', ['a', 'b', 'c'], ['b', 'c'])).toEqual(['-D C a', '-D C b', '-D C c', '-A C b', '-A C c']);
  });
});

describe('inverseLines()', () => {
  test('takes back the own chain and what leads to it, last kind first, and leaves what others use', () => {
    const lines = [
      '-C PREROUTING -j SHARED',
      '-N SHARED',
      '-A PREROUTING -j SHARED',
      '-N OWN',
      '-A OWN -p tcp -j SHARED',
      '-A SHARED -p tcp -j OWN',
      '-A SHARED -p tcp -j OWN-ANOTHER',
    ];
    expect(inverseLines(lines, 'OWN')).toEqual(['-D SHARED -p tcp -j OWN', '-D OWN -p tcp -j SHARED', '-X OWN']);
  });

  test('restores the order of replaced rules', () => {
    const lines = replaceRules('OWN', ['a', 'b'], ['b', 'c']);
    expect(inverseLines(lines, 'OWN')).toEqual(['-D OWN b', '-D OWN c', '-A OWN a', '-A OWN b']);
  });
});
