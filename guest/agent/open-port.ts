/** Opens the way out of the machine: a virtio-serial port where it has one, else the serial line the command line names. */
import { readText } from './files.ts';
import type { Port, PortEvents } from './port.ts';
import { openSerialPort } from './serial-port.ts';
import { openVirtioPort } from './virtio-port.ts';

/** @throws Error where the machine has none (yet) */
export function openPort(events: PortEvents): Port {
  const serial = /(?:^| )strata\.line=(\/dev\/\w+)/.exec(readText('/proc/cmdline') ?? '')?.[1];
  return serial === undefined ? openVirtioPort(events) : openSerialPort(serial, events);
}
