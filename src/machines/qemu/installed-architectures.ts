/** Architectures whose QEMU this host has. */
import { existsSync } from 'node:fs';
import { architectures, type Architecture } from '#base';
import { qemuProgram } from './command-line.ts';

export function installedArchitectures(): readonly Architecture[] {
  return architectures.filter((architecture) => existsSync(qemuProgram(architecture)));
}
