/** Cuts bytes into lines; what is longer than 16 KiB is cut too, so that memory stays bounded. Pure. */
export const maxLineBytes = 16 * 1024;

const newline = 10;
const carriageReturn = 13;

export class LineCutter {
  #rest = new Uint8Array(0);

  /** Lines completed by these bytes, without their ends. */
  push(bytes: Uint8Array): Uint8Array[] {
    const all = this.#rest.length === 0 ? bytes : joined(this.#rest, bytes);
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let at = all.indexOf(newline); at >= 0; at = all.indexOf(newline, start)) {
      cut(all.subarray(start, at > start && all[at - 1] === carriageReturn ? at - 1 : at), lines);
      start = at + 1;
    }
    while (all.length - start > maxLineBytes) {
      lines.push(all.slice(start, start + maxLineBytes));
      start += maxLineBytes;
    }
    this.#rest = all.slice(start);
    return lines;
  }

  /** The rest, where there is one. */
  end(): Uint8Array[] {
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    return rest.length === 0 ? [] : [rest];
  }
}

function cut(line: Uint8Array, into: Uint8Array[]): void {
  for (let at = 0; at === 0 || at < line.length; at += maxLineBytes) into.push(line.slice(at, at + maxLineBytes));
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a, 0);
  both.set(b, a.length);
  return both;
}
