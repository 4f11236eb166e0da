/** A disk that a back end serves is plugged in when its machine starts: neither engine takes one later. */
import { StrataError } from '#base';

export function onlyFromTheStart(serial: string): StrataError {
  return new StrataError(`the disk ${serial} is served by a back end, and is plugged in or out only while its machine does not run`, { code: 'machine.engineCannot', kind: 'refused', advice: 'stop the machine first' });
}
