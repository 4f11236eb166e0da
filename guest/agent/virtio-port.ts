/** A virtio-serial port of the machine, named `strata.agent`. */
import { O_RDWR } from 'os';
import * as sys from 'sys';
import { listFolder, openFile, readText } from './files.ts';
import { after, onReadable, onWritable } from './loop.ts';
import type { Port, PortEvents } from './port.ts';

/** The kernel's signal comes first; this is for one that was lost. */
const lookAgainMs = 500;

/** @throws Error where the machine has none (yet) */
export function openVirtioPort(events: PortEvents): Port {
  const fd = openFile(virtioPort(), O_RDWR);
  const buffer = new ArrayBuffer(65_536);
  let listening = false;
  sys.notifyChanges(fd);

  function readable(): void {
    const count = sys.read(fd, buffer);
    if (count > 0) return events.bytes(new Uint8Array(buffer.slice(0, count)));
    if (count < 0) return;
    onReadable(fd, null);
    listening = false;
    events.gone();
    lookLater();
  }
  function listen(): void {
    listening = true;
    onReadable(fd, readable);
  }
  /** While the host is away a poll of the port returns at once, so it is asked now and then, and when the kernel says so. */
  function lookAgain(): void {
    if (!listening && !sys.hungUp(fd)) listen();
  }
  function lookLater(): void {
    after(lookAgainMs, () => {
      lookAgain();
      if (!listening) lookLater();
    });
  }
  listen();
  return {
    write: (from) => sys.write(fd, from.buffer as ArrayBuffer, from.byteOffset, from.length),
    whenWritable: (work) => onWritable(fd, work === null ? null : () => { onWritable(fd, null); work(); }),
    lookAgain,
  };
}

function virtioPort(): string {
  for (const name of listFolder('/sys/class/virtio-ports')) {
    if (readText(`/sys/class/virtio-ports/${name}/name`)?.trim() === 'strata.agent') return `/dev/${name}`;
  }
  throw new Error('the machine has no port strata.agent');
}
