import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { renderResult } from '../../../../lib/cni/convert.ts';
import { planResult } from '../../../../plugins/loopback/loopback.ts';
import { link } from '../bridge/fixtures.ts';

test('the README shows the result that loopback makes', () => {
  const readme = readFileSync(resolve(import.meta.dirname, '../../../../plugins/loopback/README.md'), 'utf8');
  const result = planResult({ netns: '/run/netns/pod' }, link('lo', { addresses: ['127.0.0.1/8', '::1/128'] }));
  const shown = [...readme.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text = '']) =>
    JSON.stringify(JSON.parse(text)),
  );
  expect(shown).toContain(JSON.stringify(renderResult(result, '1.1.0')));
});
