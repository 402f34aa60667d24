/**
 * SHA-2 in JavaScript. node:crypto would bring eighteen built-in modules into the snapshot, which every start pays for
 * (1.3 ms); what is hashed here are names, two or three a call.
 */
import { sha256, sha512 } from '@noble/hashes/sha2.js';

/** The SHA-512 of `text` (UTF-8) as 128 hex digits. */
export function sha512Hex(text: string): string {
  return hex(sha512(Buffer.from(text)));
}

/** The SHA-256 of `text` (UTF-8) as 64 hex digits. */
export function sha256Hex(text: string): string {
  return hex(sha256(Buffer.from(text)));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
