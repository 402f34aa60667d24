/** Builds ELF files with just what lib/sea/symbol.ts reads of them. */
import { number32, number64 } from './layout.ts';

const headLength = 0x40;
const data = { address: 0x7000, before: Buffer.alloc(12, 1), after: Buffer.alloc(4, 1) };

/** A file with a section that holds `contents` under the name `symbol`, after and before others. */
export function imageWith({ symbol, contents }: { symbol: string; contents: Buffer }): Buffer {
  const names = Buffer.from(`\0other\0${symbol}\0`, 'latin1');
  const symbols = Buffer.concat([
    symbolEntry(1, data.address),
    symbolEntry(1 + 'other\0'.length, data.address + data.before.length),
  ]);
  const sections = [Buffer.concat([data.before, contents, data.after]), symbols, names];
  return elf(sections, [
    { type: 1, address: data.address, link: 0 },
    { type: 2, address: 0, link: 3 },
    { type: 3, address: 0, link: 0 },
  ]);
}

export function stripped(): Buffer {
  return elf([data.before], [{ type: 1, address: data.address, link: 0 }]);
}

function symbolEntry(name: number, value: number): Buffer {
  const section = Buffer.from([1, 0]);
  return Buffer.concat([number32(name), Buffer.alloc(2), section, number64(value), number64(4)]);
}

function elf(contents: readonly Buffer[], heads: readonly { type: number; address: number; link: number }[]): Buffer {
  let offset = headLength;
  const table = heads.map(({ type, address, link }, index) => {
    const size = contents[index]?.length ?? 0;
    const head = [number32(0), number32(type), number64(0), number64(address), number64(offset), number64(size)];
    offset += size;
    return Buffer.concat([...head, number32(link), Buffer.alloc(20)]);
  });
  const head = Buffer.alloc(headLength);
  head.writeBigUInt64LE(BigInt(offset), 0x28);
  head.writeUInt16LE(64, 0x3a);
  head.writeUInt16LE(heads.length + 1, 0x3c);
  return Buffer.concat([head, ...contents, Buffer.alloc(64), ...table]);
}
