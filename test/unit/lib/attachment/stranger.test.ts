/** Who lives of those that left no record of ours: both sides have to agree. */

import { describe, expect, test } from 'vitest';
import { judgeSight, type Sight } from '../../../../lib/attachment/stranger.ts';

const gone: Sight = { lease: 'none', sandbox: 'none', hasAddress: false };

describe('judgeSight()', () => {
  test.each<[string, Partial<Sight>, string]>([
    ['a lease, and a sandbox', { lease: 'there', sandbox: 'alive' }, 'alive'],
    ['a lease, and an address in a namespace', { lease: 'there', hasAddress: true }, 'alive'],
    [
      'a lease, and an address, its cache entry damaged',
      { lease: 'there', hasAddress: true, sandbox: 'unknown' },
      'alive',
    ],
    ['neither', {}, 'dead'],
    ['a lease of an earlier boot, and nothing else', { lease: 'dead' }, 'dead'],
    ['a lease, and nothing else', { lease: 'there' }, 'unknown'],
    ['a sandbox, and no lease', { sandbox: 'alive' }, 'unknown'],
    ['an address, and no lease', { hasAddress: true }, 'unknown'],
    ['an address, and a lease of an earlier boot', { lease: 'dead', hasAddress: true }, 'unknown'],
    ['no lease, its cache entry damaged', { sandbox: 'unknown' }, 'unknown'],
    ['no lease, and a host that cannot be looked at', { hasAddress: undefined }, 'unknown'],
    ['a lease, and a host that cannot be looked at', { lease: 'there', hasAddress: undefined }, 'unknown'],
  ])('%s', (_, seen, verdict) => {
    expect(judgeSight({ ...gone, ...seen })).toMatchObject({ verdict });
  });
});
