/** Run from source, as here, the stamped constants do not exist. */

import { expect, test } from 'vitest';
import { buildId, version } from '../../../../lib/sea/build-info.ts';

test('build-info names itself as source without a build', () => {
  expect({ buildId, version }).toEqual({ buildId: 'source', version: 'dev' });
});
