import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Verb } from '../../../../lib/cni/plugin.ts';
import { isWanted, NO_SETTINGS, readSettings, settingsSchema } from '../../../../lib/journal/settings.ts';
import { fakeCall } from '../cni/fake-call.ts';

function settings(config: object, verb: Verb = 'ADD') {
  return readSettings(fakeCall(config, { verb }));
}

test('a configuration without any of the keys has no log', () => {
  expect(settings({ type: 'bridge' })).toEqual(NO_SETTINGS);
  expect(settings({ logFile: '', logLevel: null })).toEqual(NO_SETTINGS);
});

test.each([
  ['debug', 'debug'],
  ['warn', 'warning'],
  ['WARNING', 'warning'],
  ['Error', 'error'],
  ['INFO', 'info'],
])('logLevel %s means %s', (text, level) => {
  expect(settings({ logFile: '/x', logLevel: text })).toEqual({ logFile: '/x', logLevel: level, trace: '' });
});

test('keys match in any letter case, as in Go', () => {
  expect(settings({ LOGFILE: '/x', loglevel: 'debug', Trace: '/y' })).toEqual({
    logFile: '/x',
    logLevel: 'debug',
    trace: '/y',
  });
});

const wrong = [
  { config: { logLevel: 'loud' }, problem: '"logLevel": must be debug, info, warning or error, not "loud"' },
  { config: { logLevel: 3 }, problem: '"logLevel": must be a string, not 3' },
  { config: { logFile: 'relative.log' }, problem: '"logFile": must be an absolute path' },
  { config: { trace: 'x\0' }, problem: '"trace": must be an absolute path' },
];

describe.each(wrong)('$config', ({ config, problem }) => {
  test.each(['ADD', 'CHECK', 'STATUS'] as const)('is refused by %s', (verb) => {
    expect(() => settings(config, verb)).toThrow(problem);
  });
  test.each(['DEL', 'GC'] as const)('is no reason for %s to keep garbage', (verb) => {
    expect(settings(config, verb)).toEqual(NO_SETTINGS);
  });
});

test('isWanted() lets through what is as grave as the threshold', () => {
  expect(isWanted('error', 'warning')).toBe(true);
  expect(isWanted('warning', 'warning')).toBe(true);
  expect(isWanted('info', 'warning')).toBe(false);
});

test('the README has every key, and no other', () => {
  const readme = readFileSync(resolve(import.meta.dirname, '../../../../README.md'), 'utf8');
  const chapter = readme.split('\n## ').find((text) => text.startsWith('Logs and journal'));
  const keys = [...(chapter ?? '').matchAll(/^\| `(\w+)` /gm)].map(([, key]) => key);
  expect(keys.sort()).toEqual(Object.keys(settingsSchema.shape).sort());
});
