/** Terminals for programs, made in the devpts of the root they will live in, so that they find their own name there. */
import { close } from 'os';
import * as sys from 'sys';

export interface Terminal { readonly master: number; readonly slave: number }

/** @param root `/` or `/proc/<pid>/root` of a container, which is not trusted: what is no terminal there is refused */
export function openTerminal(root: string, size: { readonly rows: number; readonly columns: number }): Terminal {
  const master = sys.openIn(root, '/dev/pts/ptmx', 4, 0);
  if (master < 0) throw new Error(`no terminal: /dev/pts/ptmx cannot be opened (error ${-master})`);
  try {
    return { master, slave: sys.openPty(master, size.rows, size.columns) };
  } catch (error) {
    close(master);
    throw error;
  }
}
