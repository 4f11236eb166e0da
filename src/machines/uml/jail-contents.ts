/** What a jailed UML can see of the host: the kernel it is, its initramfs, and the C library. */
import { programContents, type ProgramContents } from '../vmm/program-contents.ts';
import { jail } from './uml-places.ts';

export function jailContents(guestOs: { readonly kernel: string; readonly initramfs: string }): ProgramContents {
  const { readable, links } = programContents();
  return { readable: [...readable, { source: guestOs.kernel, target: jail.kernel }, { source: guestOs.initramfs, target: jail.initramfs }], links };
}
