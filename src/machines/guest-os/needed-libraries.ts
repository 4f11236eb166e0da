/** Names of the shared libraries an ELF file asks for (DT_NEEDED; System V ABI, dynamic section). 64-bit little-endian only. Pure. */
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_STRTAB = 5;

export function neededLibraries(elf: Buffer): string[] {
  if (elf.length < 64 || elf.toString('latin1', 1, 4) !== 'ELF' || elf[4] !== 2) return [];
  const headerOffset = Number(elf.readBigUInt64LE(32));
  const headerSize = elf.readUInt16LE(54);
  const segments = Array.from({ length: elf.readUInt16LE(56) }, (_, at) => {
    const base = headerOffset + at * headerSize;
    return { type: elf.readUInt32LE(base), offset: Number(elf.readBigUInt64LE(base + 8)), address: Number(elf.readBigUInt64LE(base + 16)), size: Number(elf.readBigUInt64LE(base + 32)) };
  });
  const dynamic = segments.find((segment) => segment.type === PT_DYNAMIC);
  if (dynamic === undefined) return [];
  const offsets: number[] = [];
  let strings = 0;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const tag = Number(elf.readBigInt64LE(at));
    const value = Number(elf.readBigUInt64LE(at + 8));
    if (tag === 0) break;
    if (tag === DT_NEEDED) offsets.push(value);
    if (tag === DT_STRTAB) strings = value;
  }
  const home = segments.find((segment) => segment.type === PT_LOAD && strings >= segment.address && strings < segment.address + segment.size);
  if (home === undefined) return [];
  const table = strings - home.address + home.offset;
  return offsets.map((offset) => elf.toString('latin1', table + offset, elf.indexOf(0, table + offset)));
}
