/**
 * A serial line as a port. It has no hang-up and loses or holds back what comes in bursts, so bytes travel in
 * packets, each way at most as many as the other side granted (the other end: src/machines/launcher/line.c):
 *
 *   kind (1 byte), count (2 bytes, little endian), then `count` bytes where the kind is data
 */
import { O_RDWR } from 'os';
import * as sys from 'sys';
import { openFile } from './files.ts';
import { onReadable, onWritable } from './loop.ts';
import type { Port, PortEvents } from './port.ts';

const kinds = { data: 1, credit: 2, gone: 3 } as const;
const headerBytes = 3;
/** The keeper takes this much before it grants more. */
const firstRoom = 64 * 1024;
/** What may come before we grant more: what the terminal's buffer holds for sure. */
const grantedAhead = 2048;
const grantFrom = 1024;
const maxPacket = 8 * 1024;

export function openSerialPort(path: string, events: PortEvents): Port {
  const fd = openFile(path, O_RDWR);
  sys.rawTerminal(fd);
  sys.nonblocking(fd);
  const reader = packetReader();
  const buffer = new ArrayBuffer(4096);
  const leaving: Uint8Array[] = [];
  let room = firstRoom;
  let used = 0;
  let waiting: (() => void) | null = null;

  function flush(): void {
    for (let head = leaving[0]; head !== undefined; head = leaving[0]) {
      const count = sys.write(fd, head.buffer as ArrayBuffer, head.byteOffset, head.length);
      if (count < head.length) {
        if (count > 0) leaving[0] = head.subarray(count);
        return onWritable(fd, flush);
      }
      leaving.shift();
    }
    onWritable(fd, null);
    wake();
  }
  function wake(): void {
    if (waiting === null || room === 0 || leaving.length > 0) return;
    const work = waiting;
    waiting = null;
    work();
  }
  function put(bytes: Uint8Array): void {
    leaving.push(bytes);
    if (leaving.length === 1) flush();
  }
  function grant(count: number): void {
    used += count;
    if (used < grantFrom) return;
    put(packet(kinds.credit, used));
    used = 0;
  }
  onReadable(fd, () => {
    const count = sys.read(fd, buffer);
    if (count <= 0) return;
    reader(new Uint8Array(buffer.slice(0, count)), {
      data(bytes) {
        events.bytes(bytes);
        grant(bytes.length);
      },
      credit(more) {
        room += more;
        wake();
      },
      gone: () => events.gone(),
    });
  });
  put(packet(kinds.credit, grantedAhead));
  return {
    write(from) {
      const count = Math.min(from.length, room, maxPacket);
      if (count === 0 || leaving.length > 0) return -1;
      room -= count;
      put(packet(kinds.data, count, from.subarray(0, count)));
      return count;
    },
    whenWritable(work) {
      waiting = work;
    },
    lookAgain: () => undefined,
  };
}

interface PacketEvents { data(bytes: Uint8Array): void; credit(count: number): void; gone(): void }

/** Takes packets apart however they were cut. */
function packetReader(): (bytes: Uint8Array, events: PacketEvents) => void {
  const header = new Uint8Array(headerBytes);
  let have = 0;
  let left = 0;
  return (bytes, events) => {
    for (let at = 0; at < bytes.length;) {
      if (left > 0) {
        const part = Math.min(left, bytes.length - at);
        events.data(bytes.slice(at, at + part));
        left -= part;
        at += part;
        continue;
      }
      header[have] = bytes[at] as number;
      have += 1;
      at += 1;
      if (have < headerBytes) continue;
      have = 0;
      const count = (header[1] as number) | (header[2] as number) << 8;
      if (header[0] === kinds.data) left = count;
      else if (header[0] === kinds.credit) events.credit(count);
      else if (header[0] === kinds.gone) events.gone();
    }
  };
}

function packet(kind: number, count: number, data?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headerBytes + (data?.length ?? 0));
  bytes[0] = kind;
  bytes[1] = count & 255;
  bytes[2] = count >> 8;
  if (data !== undefined) bytes.set(data, headerBytes);
  return bytes;
}
