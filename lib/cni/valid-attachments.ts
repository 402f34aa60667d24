/** The attachments that GC must leave alone (SPEC.md "GC"). */
import * as z from 'zod/mini';
import { CniError, code } from './errors.ts';
import { decode, type JsonObject } from './json.ts';
import type { NetConf } from './plugin.ts';

/** The second is a misnomer of an early text of the specification, which libcni sends as well. */
const KEYS = ['cni.dev/valid-attachments', 'cni.dev/attachments'] as const;

const list = z._default(z.array(z.object({ containerID: z.string(), ifname: z.string() })), []);
const schema = z.object({ [KEYS[0]]: list, [KEYS[1]]: list });

export interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/** The keys of the list as they came, for a delegate's configuration. */
export function attachmentKeys({ raw }: NetConf): JsonObject {
  const isKey = (key: string) => KEYS.some((known) => known === key.toLowerCase());
  return Object.fromEntries(Object.entries(raw).filter(([key]) => isKey(key)));
}

/**
 * What the runtime says lives: `null` and `[]` mean nothing does. Where both spellings of the key differ, what either
 * lists lives. Throws code 7 when neither is there, which is no permission to collect everything, and for a bad list.
 */
export function validAttachments({ raw }: NetConf): readonly ValidAttachment[] {
  const present = Object.keys(raw).map((key) => key.toLowerCase());
  if (!KEYS.some((key) => present.includes(key))) {
    throw new CniError(code.invalidConfig, `cannot collect garbage: "${KEYS[0]}" is missing`, {
      details: 'the runtime has to list the attachments that live; an empty list means that none does',
    });
  }
  const lists = decode(schema, raw, 'list of valid attachments');
  return [...lists[KEYS[0]], ...lists[KEYS[1]]];
}
