/** Zygotes with real guests: what copies have of their own, and that nothing depends on a zygote. */
import { deepEqual, equal, notEqual, ok } from 'node:assert/strict';
import { readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isAlive, signalProcess, systemClock, waitUntil, type ProcessIdentity } from '#base';
import type { RunningMachine } from '../../engine.ts';
import { readKeeperRecord } from '../../launcher/index.ts';
import { greetAgent } from '../../testing/greet-agent.ts';
import { sharedTraits, traitsOf } from '../../testing/guest-traits.ts';
import { qemuBench } from '../../testing/qemu-bench.ts';
import { runInGuest } from '../../testing/run-in-guest.ts';
import { vmmTraces } from '../../testing/vmm-traces.ts';
import type { QemuEngine } from '../index.ts';
import { machinePlaces } from '../machine-places.ts';
import { templatesFolder } from '../templates/template-places.ts';
import { zygoteMachineId } from './zygote.ts';

const { instance, openEngine, specOf, keep } = qemuBench({ letter: 'y', subnet: 171, machine: { scratchMiB: 32, memoryMiB: 192 }, templates: { delayMs: 3600_000 } });

const start = async (by: QemuEngine, spec = specOf()): Promise<RunningMachine> => keep(await by.start(spec));

async function run(machine: RunningMachine, script: string): Promise<string> {
  const agent = await greetAgent(machine, 60_000);
  try { return (await runInGuest(agent, script)).out.trim(); } finally { agent.close(); }
}

/** The one template's. */
async function onlyKey(): Promise<string> {
  const keys = await readdir(templatesFolder(instance));
  equal(keys.length, 1);
  return keys[0] ?? '';
}
async function zygoteNow(): Promise<ProcessIdentity> {
  const record = await readKeeperRecord(machinePlaces(instance, zygoteMachineId(await onlyKey())).runFolder);
  ok(record !== undefined && await isAlive(record.vmm));
  return record.vmm;
}
/** Whose program it runs on: of a copy it is what its zygote was started with. */
const isCopy = async (machine: RunningMachine): Promise<boolean> => /STRATA_ZYGOTE=/.test(await readFile(`/proc/${machine.process.pid}/environ`, 'latin1'));

test('[Q67] copies of a zygote that run at the same time have nothing in common but what they began with', { timeout: 240_000 }, async () => {
  const engine = openEngine();
  await engine.ensureTemplate(specOf());
  const all = await Promise.all(Array.from({ length: 4 }, () => start(engine)));
  deepEqual(await Promise.all(all.map(isCopy)), [true, true, true, true]);
  deepEqual(sharedTraits(await Promise.all(all.map((one) => traitsOf(one, false)))), []);
  const words = await Promise.all(all.map((one, at) => run(one, `m=$(grep -o '^/dev/[^ ]* /[^ ]*' /proc/mounts | head -1 | cut -d' ' -f2); echo ${at} > $m/own; sync; echo $m; head -c 3000000 /dev/urandom > /tmp/x; cat $m/own`)));
  deepEqual(words.map((one) => one.split('\n').pop()), ['0', '1', '2', '3'], words.join());
  const seconds = await Promise.all(all.map((one) => run(one, 'cat /tmp/x | md5sum')));
  equal(new Set(seconds).size, 4);
  // The guests' kernels draw too, each at its own times: the same stream would be seen at another place.
  const drawn = await Promise.all(all.map((one) => run(one, "dd if=/dev/hwrng bs=64 count=64 2>/dev/null | od -An -v -tx1 | tr -d ' \\n'")));
  equal(drawn.every((one) => one.length === 2 * 4096), true, drawn.map((one) => one.length).join());
  const pieces = drawn.flatMap((one) => [...new Set(Array.from({ length: one.length / 2 - 16 }, (_, at) => one.slice(2 * at, 2 * at + 32)))]);
  equal(new Set(pieces).size, pieces.length, 'what QEMU gives is their own too');
});

test('[Q72] what copies write where their template was never touched is theirs alone: the template does not grow', { timeout: 240_000 }, async () => {
  const engine = openEngine();
  await engine.ensureTemplate(specOf());
  const folder = join(templatesFolder(instance), await onlyKey());
  const { pid } = JSON.parse(await readFile(join(folder, 'holder.json'), 'utf8')) as { pid: number };
  const names = await Promise.all((await readdir(`/proc/${pid}/fd`)).map(async (fd) => [`/proc/${pid}/fd/${fd}`, await readlink(`/proc/${pid}/fd/${fd}`)] as const));
  const memory = names.find(([, target]) => target.startsWith('/memfd:memory'))?.[0] ?? '';
  const heldMiB = async () => (await stat(memory)).blocks / 2048;
  const [before, machine] = [await heldMiB(), await start(engine)];
  equal(await isCopy(machine), true);
  equal(await run(machine, 'mkdir /tmp/many; mount -t tmpfs -o size=64m none /tmp/many; head -c 60000000 /dev/zero | tr "\\0" x > /tmp/many/x; head -c 9 /tmp/many/x'), 'xxxxxxxxx');
  const grown = await heldMiB() - before;
  ok(grown < 12, `${before} MiB, and ${grown} more`);
});

test('[Q67] a zygote that stands ready takes no processor time', { timeout: 240_000 }, async () => {
  const engine = openEngine();
  await engine.ensureTemplate(specOf());
  await start(engine);
  const { pid } = await zygoteNow();
  /** Of all its threads, in ticks of 10 ms: fields 14 and 15 of proc(5)'s stat. */
  const ticks = async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ').slice(11, 13).reduce((sum, one) => sum + Number(one), 0);
  const before = await ticks();
  await systemClock.wait(1000);
  const spent = await ticks() - before;
  equal(spent > 3, false, `${spent} hundredths of a second`);
});

test('[Q67] where the zygote has ended, machines are cloned without one, and the next zygote is made', { timeout: 240_000 }, async () => {
  const engine = openEngine();
  await engine.ensureTemplate(specOf());
  const copied = await start(engine);
  const first = await zygoteNow();
  await signalProcess(first, 'SIGKILL');
  await waitUntil(async () => !(await isAlive(first)), { what: 'it is gone', limitMs: 10_000 });
  const cloned = await start(engine);
  deepEqual([await isCopy(copied), await isCopy(cloned), cloned.startedBy], [true, false, { way: 'template', why: '' }]);
  await waitUntil(async () => isCopy(await start(engine)), { what: 'machines are copies again', limitMs: 60_000 });
  equal(await run(copied, 'echo still'), 'still', 'a copy outlives its zygote');
});

test('[Q67] where a copy does not come to run, the machine is cloned without one, and nothing of the copy is left', { timeout: 240_000 }, async () => {
  const engine = openEngine();
  await engine.ensureTemplate(specOf());
  const zygote = await zygoteNow();
  await signalProcess(zygote, 'SIGSTOP'); // it takes the wish and does nothing
  const spec = specOf();
  const machine = await start(engine, spec);
  deepEqual([await isCopy(machine), machine.startedBy], [false, { way: 'template', why: '' }]);
  equal(await isAlive(zygote), false, 'it was dropped');
  await machine.kill();
  await machine.release();
  await engine.erase(spec.id);
  deepEqual(await vmmTraces(instance, spec.id), []);
});

test('[Q68] a zygote outlives its daemon and goes with its template; one of another version of the program is not copied', { timeout: 240_000 }, async () => {
  const first = openEngine();
  await first.ensureTemplate(specOf());
  const zygote = await zygoteNow();
  await first.close();
  const later = openEngine();
  await later.sweep();
  deepEqual(await zygoteNow(), zygote);
  const machine = await start(later);
  equal(await isCopy(machine), true);
  const record = join(templatesFolder(instance), await onlyKey(), 'zygote.json');
  await writeFile(record, (await readFile(record, 'utf8')).replace(/launcher-[0-9a-f]+/, 'launcher-0'));
  const next = openEngine();
  await next.sweep();
  equal(await isAlive(zygote), false, 'what nobody can use is ended');
  await next.ensureTemplate(specOf());
  notEqual((await zygoteNow()).pid, zygote.pid);
  const made = await zygoteNow();
  await next.dropTemplates();
  equal(await isAlive(made), false);
  equal(await run(machine, 'echo still'), 'still');
});
