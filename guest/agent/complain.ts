/** Problems nobody asked about go to the kernel's log, which the serial console shows. */
import { close, open, O_WRONLY } from 'os';
import * as sys from 'sys';

const maxBytes = 900; // a record of /dev/kmsg ends at 1024

export function complain(text: string): void {
  const fd = open('/dev/kmsg', O_WRONLY);
  if (fd < 0) return; // there is no log to complain to
  try {
    const bytes = sys.encode(`<3>strata: ${text.slice(0, maxBytes)}\n`);
    sys.write(fd, bytes, 0, bytes.byteLength);
  } catch { /* the log is rationed; a lost complaint harms nobody */ } finally { close(fd); }
}
