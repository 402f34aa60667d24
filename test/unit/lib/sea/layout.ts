/** Builds pieces of the runtime's binary layouts. */

export function number64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

export function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A 64-bit length and the text. */
export function block(text: string): Buffer {
  return Buffer.concat([number64(text.length), Buffer.from(text, 'latin1')]);
}
