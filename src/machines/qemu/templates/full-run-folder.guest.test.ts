/** The run folder is on a tmpfs that others can fill: what cannot be made then says so and leaves nothing, what is there goes on, and with room again all is as before. */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { runProcess, silentLog, systemClock, waitUntil, type Instance } from '#base';
import type { RunningMachine } from '../../engine.ts';
import { ensureGuestOs } from '../../guest-os/ensure-guest-os.ts';
import type { MachineSpec } from '../../machine.ts';
import { greetAgent } from '../../testing/greet-agent.ts';
import { qemuCensus } from '../../testing/qemu-census.ts';
import { testMachine } from '../../testing/test-daemon.ts';
import { runName } from '../../testing/test-taps.ts';
import { openQemuEngine, type QemuEngine } from '../index.ts';
import { openMachinePool } from '../../pooled/open-machine-pool.ts';
import { isPooledId } from '../../pooled/pooled-id.ts';
import { isTemplateMachineId } from './template-places.ts';

const name = runName('f');
let root: string;
let instance: Instance;
let engine: QemuEngine;
const specs: MachineSpec[] = [];
const machines: RunningMachine[] = [];

before(async () => {
  root = await mkdtemp('/tmp/strata-f-');
  instance = { name, stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 205 };
  await mkdir(instance.runDir, { mode: 0o700 });
  await runProcess(['mount', '-t', 'tmpfs', '-o', 'size=8m,mode=0700', 'strata-test', instance.runDir]);
  engine = openQemuEngine({
    instance, log: silentLog, guestOs: (architecture) => ensureGuestOs(architecture, { instance }), accelerator: async () => 'tcg', templates: { delayMs: 3600_000 }, pool: openMachinePool({ clock: systemClock, log: silentLog, perShape: 1, delayMs: 0 }),
  });
});
afterEach(async () => {
  await empty();
  for (const machine of machines.splice(0)) await machine.release();
  for (const spec of specs.splice(0)) await engine.erase(spec.id);
});
after(async () => {
  await engine.close();
  await engine.dropTemplates();
  const left = await census();
  await runProcess(['umount', instance.runDir]);
  await rm(root, { recursive: true, force: true });
  deepEqual(left, [], 'nothing is left');
});

const census = (): Promise<readonly string[]> => qemuCensus(root, instance);

const filling = (): string => join(instance.runDir, 'somebody-elses');
const page = Buffer.alloc(4096, 'x');
/** To the last page. */
async function fill(): Promise<void> {
  const file = await open(filling(), 'a');
  try {
    for (;;) await file.write(page);
  } catch (thrown) {
    equal((thrown as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    await file.close();
  }
}
const empty = (): Promise<void> => rm(filling(), { force: true });

function specOf(): MachineSpec {
  const spec = testMachine({ engine: 'qemu', network: null, scratchMiB: 0, memoryMiB: 192 });
  specs.push(spec);
  return spec;
}
async function start(spec = specOf()): Promise<RunningMachine> {
  const machine = await engine.start(spec);
  machines.push(machine);
  return machine;
}
async function answers(machine: RunningMachine): Promise<boolean> {
  const agent = await greetAgent(machine);
  agent.close();
  return agent.hello.bootId !== '';
}
const noSpace = (error: Error): boolean => { match(`${error.message} ${String(error.cause)}`, /ENOSPC|[Nn]o space left/); return true; };

test('[Q57] a template for which there is no room is not made, and leaves nothing; also where the room ends while its guest boots', { timeout: 300_000 }, async () => {
  await fill();
  await rejects(engine.ensureTemplate(specOf()), noSpace);
  deepEqual((await census()).filter((one) => one !== ''), []);
  await empty();
  const making = engine.ensureTemplate(specOf());
  const failed = rejects(making, noSpace);
  await waitUntil(async () => { const [id] = (await census()).filter(isTemplateMachineId); return id !== undefined && existsSync(join(instance.runDir, 'q', id, 'keeper.json')); }, { what: 'its guest boots', limitMs: 60_000, everyMs: 20 });
  await fill();
  await failed;
  deepEqual(await census(), []);
  await empty();
  await engine.ensureTemplate(specOf());
  equal((await start()).startedBy?.way, 'template');
});

test('[Q57] a machine for which there is no room is refused and leaves nothing; what runs goes on, and a pooled one that cannot be taken makes room', { timeout: 300_000 }, async () => {
  await engine.ensureTemplate(specOf());
  const runs = await start();
  await waitUntil(() => engine.pooled?.()[0]?.ready === 1, { what: 'the pool is filled', limitMs: 120_000, everyMs: 50 });
  await fill();
  const clone = await start();
  // The pooled one could not be told whose it is and was ended; what that gave back is enough for a clone or for a boot.
  ok(clone.startedBy?.way === 'template' || /ENOSPC/.test(clone.startedBy?.why ?? ''), JSON.stringify(clone.startedBy));
  equal(engine.pooled?.()[0]?.hits, 0);
  deepEqual((await census()).filter((one) => isPooledId(one)), [], 'and left nothing');
  await fill();
  const refused = specOf();
  await rejects(engine.start(refused), noSpace);
  deepEqual((await census()).filter((one) => one.includes(refused.id)), []);
  equal((await engine.adopt(refused)).found, 'gone');
  for (const machine of [runs, clone]) ok(await answers(machine), 'what runs goes on');
  await empty();
  ok(await answers(await start(refused)));
});
