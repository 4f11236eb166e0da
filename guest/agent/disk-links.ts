/**
 * /dev/disk/by-id/<serial>, a link to each disk of ours: the kernel asks disks side by side, so what is sdb at one start is
 * sdc at the next. The kernel makes and removes the nodes in /dev itself and tells who watches that folder. Nothing is looked
 * for in between: an idle guest sleeps on, and a disk that comes costs a look at that disk alone. By the time its node is
 * there all of it stands in /sys; the kernel's own word for that (a uevent) would also tell of every card and queue.
 */
import * as os from 'os';
import * as sys from 'sys';
import { complain } from './complain.ts';
import { serialOf } from './disks.ts';
import { exists, listFolder, makeFolder } from './files.ts';
import { onReadable } from './loop.ts';
import { textOf } from './text.ts';

const links = '/dev/disk/by-id';
/** Disks are told their serials by others: what could lead out of the folder, or is hidden in it, gets no link. */
const fits = /^[\w+:-][\w.+:-]{0,254}$/;

/** Device → serial of each disk that has a link, or would have one if no other had its serial too. */
const disks = new Map<string, string>();
let watch = -1;

/** struct inotify_event: watch, mask, cookie, length of the name, name. */
const [lengthAt, nameAt] = [12, 16];
const events = new ArrayBuffer(4096);

/** What came and went until now has its link, or has none any more. The first time it begins; later, where nothing did, it is one call of the kernel. */
export function linkDisks(): void {
  try {
    if (watch < 0) begin();
    for (let size = sys.read(watch, events); size > 0; size = sys.read(watch, events)) {
      for (let at = 0; at < size;) {
        const length = new DataView(events).getUint32(at + lengthAt, true);
        if (length === 0) lookAtAll(); // the kernel had more to tell than it keeps
        else look(textOf(new Uint8Array(events, at + nameAt, length)).split('\0', 1)[0] as string);
        at += nameAt + length;
      }
    }
  } catch (error) {
    complain(`links of disks: ${(error as Error).message}`);
  }
}

function begin(): void {
  makeFolder(links);
  watch = sys.watchFolder('/dev'); // before looking, so that none is missed
  onReadable(watch, linkDisks);
  lookAtAll();
}

function lookAtAll(): void {
  for (const name of new Set([...listFolder('/sys/block'), ...disks.keys()])) look(name);
}

/** Whatever was told of it: what counts is what is there now. */
function look(name: string): void {
  const before = disks.get(name) ?? '';
  const serial = isDisk(name) ? serialOf(name) : '';
  const now = fits.test(serial) ? serial : '';
  if (now === before) return;
  if (now === '') disks.delete(name);
  else disks.set(name, now);
  for (const one of [before, now]) if (one !== '') link(one);
}

/** Of one that goes, the node goes first. */
const isDisk = (name: string): boolean => exists(`/sys/class/block/${name}`) && !exists(`/sys/class/block/${name}/partition`) && exists(`/dev/${name}`);

/** Of two disks with one serial the earlier has the link, until it goes. */
function link(serial: string): void {
  const path = `${links}/${serial}`;
  const [device] = [...disks].find(([, one]) => one === serial) ?? [];
  os.remove(path);
  if (device !== undefined) os.symlink(`../../${device}`, path);
}
