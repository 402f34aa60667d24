/** Where a variable begins in the image of an ELF file (64 bits, little endian) that was not stripped: elf(5). */

interface Section {
  readonly type: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  /** Of a symbol table: the number of the section with its names. */
  readonly link: number;
}

const symbolTable = 2;
const symbolLength = 24;

/** Offset in the file of what the symbol `name` stands for. Throws when there is none. */
export function offsetOfSymbol(image: Buffer, name: string): number {
  const sections = sectionsOf(image);
  const table = sections.find(({ type }) => type === symbolTable);
  const names = table === undefined ? undefined : sections[table.link];
  if (table === undefined || names === undefined) throw new Error(`cannot find "${name}": the file is stripped`);
  const nameOffset = image.indexOf(`\0${name}\0`, names.offset, 'latin1') + 1 - names.offset;
  for (let at = table.offset; at < table.offset + table.size; at += symbolLength) {
    if (image.readUInt32LE(at) !== nameOffset) continue;
    const section = sections[image.readUInt16LE(at + 6)];
    if (section !== undefined) return Number(image.readBigUInt64LE(at + 8)) - section.address + section.offset;
  }
  throw new Error(`cannot find "${name}" among the symbols of the file`);
}

function sectionsOf(image: Buffer): readonly Section[] {
  const start = Number(image.readBigUInt64LE(0x28));
  const length = image.readUInt16LE(0x3a);
  return Array.from({ length: image.readUInt16LE(0x3c) }, (_, index) => {
    const at = start + index * length;
    return {
      type: image.readUInt32LE(at + 4),
      address: Number(image.readBigUInt64LE(at + 16)),
      offset: Number(image.readBigUInt64LE(at + 24)),
      size: Number(image.readBigUInt64LE(at + 32)),
      link: image.readUInt32LE(at + 40),
    };
  });
}
