/** Hands one transaction to nft through a file: nft opens /dev/stdin by name, which fails on the sockets Node gives its children. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess, type Instance } from '#base';

/** Carries out the JSON commands as one transaction: all of them or none. @throws StrataError `process.failed` */
export async function runNft(instance: Instance, text: string): Promise<void> {
  await mkdir(instance.runDir, { recursive: true, mode: 0o700 });
  const path = join(instance.runDir, `nft.${process.pid}.${++transactions}.json`);
  try {
    await writeFile(path, text, { mode: 0o600 });
    await runProcess(['nft', '-j', '-f', path]);
  } finally {
    await rm(path, { force: true });
  }
}
let transactions = 0;
