/**
 * The drivers of disks. By itself the kernel asks for disks at each of a controller's 256 places, which costs 0.08 s under
 * emulation; where the host says how many there are at the start, these alone are looked for. Later ones announce themselves,
 * but for those that come before the controller's driver does: nobody listens yet, and by default it would look for them.
 */
import { complain } from './complain.ts';
import { listFolder, readText, setKernelValue } from './files.ts';

const disksWord = 'strata.disks=';
const hosts = '/sys/class/scsi_host';

/** How many disks lie at the controller's first places; undefined where the host does not say. */
export function disksAtStart(commandLine: string): number | undefined {
  const word = commandLine.split(/\s+/).find((one) => one.startsWith(disksWord));
  const count = Number(word?.slice(disksWord.length));
  return word !== undefined && Number.isInteger(count) && count >= 0 && count < 256 ? count : undefined;
}

/** Parameters of a driver, by its file's name. */
export function driverParameters(name: string): string {
  return plainName(name) === 'scsi_mod' && announced() !== undefined ? 'scan=manual' : '';
}

/** After each driver; does nothing but after the controller's. */
export function findDisksAtStart(name: string): void {
  const count = announced();
  if (plainName(name) !== 'virtio_scsi' || count === undefined) return;
  try {
    setKernelValue('/sys/module/scsi_mod/parameters/scan', 'sync'); // or none that is plugged in later would be found
    for (const host of listFolder(hosts)) for (let place = 0; place < count; place += 1) setKernelValue(`${hosts}/${host}/scan`, `0 ${place} 0`);
  } catch (error) {
    complain(`disks: ${(error as Error).message}`);
  }
}

/** Looks at every place of every controller. */
export function searchForDisks(): void {
  try {
    for (const host of listFolder(hosts)) setKernelValue(`${hosts}/${host}/scan`, '- - -');
  } catch (error) {
    complain(`disks: ${(error as Error).message}`);
  }
}

const announced = (): number | undefined => disksAtStart(readText('/proc/cmdline') ?? '');

const plainName = (name: string): string => name.replace(/\.ko$/, '').replaceAll('-', '_');
