/** What a jailed QEMU can see of the host: its program, libraries and firmware, read-only. Nothing of anybody's. */
import type { Architecture } from '#base';
import { programContents, type ProgramContents } from '../vmm/program-contents.ts';
import { jailInitramfs, jailKernel, qemuProgram } from './command-line.ts';

/** What the C library reads to know whether huge pages are to be had (`hugeHeap`). */
const hugePages = ['enabled', 'hpage_pmd_size'].map((name) => `/sys/kernel/mm/transparent_hugepage/${name}`);

export function jailContents(architecture: Architecture, kernel: { readonly kernel: string; readonly initramfs: string } | null): ProgramContents {
  const { readable, links } = programContents('/usr/share/qemu', '/usr/share/seabios', qemuProgram(architecture), ...hugePages);
  return { readable: [...readable, ...(kernel === null ? [] : [{ source: kernel.kernel, target: jailKernel }, { source: kernel.initramfs, target: jailInitramfs }])], links };
}
