/** What a configuration says about logging: the keys that every plugin's has in common. */
import * as z from 'zod/mini';
import { absolutePath } from '../attachment/store.ts';
import { decode } from '../cni/json.ts';
import type { Call } from '../cni/plugin.ts';

const LEVELS = ['debug', 'info', 'warning', 'error'] as const;

export type Level = (typeof LEVELS)[number];

/** In any letter case, and as Go's loggers spell it. */
const level = z.pipe(
  z.prefault(z.string(), 'info'),
  z.transform((text, context): Level => {
    const lower = text.toLowerCase();
    const found = LEVELS.find((name) => name === (lower === 'warn' ? 'warning' : lower));
    if (found !== undefined) return found;
    context.issues.push({
      code: 'custom',
      message: `must be debug, info, warning or error, not ${JSON.stringify(text.slice(0, 80))}`,
      input: text,
    });
    return z.NEVER;
  }),
);

/** README.md "Logs and journal" has them as a table. */
export const settingsSchema = z.object({ logFile: absolutePath, logLevel: level, trace: absolutePath });

export type Settings = z.output<typeof settingsSchema>;

export const NO_SETTINGS: Settings = { logFile: '', logLevel: 'info', trace: '' };

const KEYS = new Set(Object.keys(settingsSchema.shape).map((key) => key.toLowerCase()));

/** Throws code 7, except for DEL and GC: nothing that a log needs may keep garbage. */
export function readSettings({ verb, config }: Pick<Call, 'verb' | 'config'>): Settings {
  // Hardly any configuration has them, and looking is much faster than a schema.
  if (!Object.keys(config.raw).some((key) => KEYS.has(key.toLowerCase()))) return NO_SETTINGS;
  try {
    return decode(settingsSchema, config.raw, 'network configuration');
  } catch (error) {
    if (verb === 'DEL' || verb === 'GC') return NO_SETTINGS;
    throw error;
  }
}

/** Whether a line of `level` goes into a log at `threshold`. */
export function isWanted(level: Level, threshold: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(threshold);
}
