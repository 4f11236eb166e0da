/**
 * A user id of its own for each machine, kept until the machine is erased. The folder of claims is the register: a claim
 * is a file made with O_EXCL, so two starts never get the same. Instances on one host differ by their subnet.
 */
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StrataError, type Instance } from '#base';

const firstUid = 100_000;
const uidsPerInstance = 65_536;

/** The machine's uid, claimed now where it has none. */
export async function allocateUid(instance: Instance, id: string): Promise<number> {
  const folder = claimsFolder(instance);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const claims = await readClaims(folder);
  const mine = [...claims].find(([, owner]) => owner === id);
  if (mine !== undefined) return mine[0];
  const base = firstUid + instance.subnet * uidsPerInstance;
  for (let uid = base; uid < base + uidsPerInstance; uid += 1) {
    if (!claims.has(uid) && await claim(join(folder, String(uid)), id)) return uid;
  }
  throw new StrataError(`all ${uidsPerInstance} user ids of this instance are taken`, { code: 'machine.noUid', kind: 'exhausted', advice: 'remove machines that are not needed' });
}

/** Idempotent. Only when nothing of the machine is left. */
export async function freeUid(instance: Instance, id: string): Promise<void> {
  const folder = claimsFolder(instance);
  for (const [uid, owner] of await readClaims(folder)) if (owner === id) await rm(join(folder, String(uid)), { force: true });
}

/** Ids of all that have a uid. */
export async function uidOwners(instance: Instance): Promise<ReadonlySet<string>> {
  return new Set((await readClaims(claimsFolder(instance))).values());
}

const claimsFolder = (instance: Instance): string => join(instance.stateDir, 'qemu-uids');

async function readClaims(folder: string): Promise<Map<number, string>> {
  const claims = new Map<number, string>();
  for (const name of await readdir(folder).catch(() => [])) {
    if (/^\d+$/.test(name)) claims.set(Number(name), await readFile(join(folder, name), 'utf8').catch(() => ''));
  }
  return claims;
}

async function claim(path: string, id: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    try { await file.writeFile(id); await file.sync(); } finally { await file.close(); }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
