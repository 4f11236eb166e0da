/** What a container prints, from its pipes or its terminal into its log; always read, so that it never waits for a reader. */
import * as os from 'os';
import * as sys from 'sys';
import { openFile } from './files.ts';
import type { ContainerLog } from './logs.ts';
import { after, onReadable } from './loop.ts';
import { openTerminal } from './terminal.ts';

const spoolBytes = 16_384;

export class ContainerOutput {
  readonly #log: ContainerLog;
  /** Descriptors that still bring what the container printed, with 1 for stdout and 2 for stderr. */
  readonly #spools = new Map<number, number>();

  constructor(log: ContainerLog) { this.#log = log; }

  /** @returns the container's own ends, to be closed when it has them */
  open(tty: boolean): readonly [number, number, number] {
    const { child, ours } = tty ? terminal() : pipes();
    ours.forEach((fd, at) => this.#spool(fd, at + 1));
    return child;
  }

  #spool(fd: number, stream: number): void {
    sys.nonblocking(fd);
    this.#spools.set(fd, stream);
    const buffer = new ArrayBuffer(spoolBytes);
    const read = (): void => {
      const began = sys.monotonic();
      const count = sys.read(fd, buffer);
      if (count === 0) return this.#endSpool(fd);
      if (count < 0) return;
      this.#log.write(stream, new Uint8Array(buffer.slice(0, count)));
      if (count < spoolBytes) return;
      // One that floods us waits as long as its lines took, or the agent would do nothing else.
      onReadable(fd, null);
      after(sys.monotonic() - began, () => { if (this.#spools.get(fd) === stream) onReadable(fd, read); });
    };
    onReadable(fd, read);
  }

  #endSpool(fd: number): void {
    if (!this.#spools.delete(fd)) return;
    onReadable(fd, null);
    os.close(fd);
  }

  /** All processes are gone: what is still in the pipes is all there will be. */
  end(): void {
    const buffer = new ArrayBuffer(spoolBytes);
    for (const [fd, stream] of [...this.#spools]) {
      for (let count = sys.read(fd, buffer); count > 0; count = sys.read(fd, buffer)) this.#log.write(stream, new Uint8Array(buffer.slice(0, count)));
      this.#endSpool(fd);
    }
    this.#log.finish();
  }
}

interface Ends { readonly child: readonly [number, number, number]; readonly ours: readonly number[] }

function pipes(): Ends {
  const [outRead, outWrite] = sys.pipe();
  const [errRead, errWrite] = sys.pipe();
  return { child: [openFile('/dev/null', os.O_RDONLY), outWrite, errWrite], ours: [outRead, errRead] };
}

/** `tty: true`: what it prints is one stream, as a terminal shows it. */
function terminal(): Ends {
  const { master, slave } = openTerminal('/', { rows: 24, columns: 80 });
  return { child: [slave, slave, slave], ours: [master] };
}
