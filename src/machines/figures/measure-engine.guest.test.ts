/** Real guests are measured: what is known of the engines' nature shows, and nothing is left. */
import { deepEqual, ok } from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog, systemClock, systemDice, type Instance } from '#base';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import { openQemuEngine } from '../qemu/index.ts';
import { vmmTraces } from '../testing/vmm-traces.ts';
import { openUmlEngine } from '../uml/index.ts';
import { measureEngine } from './measure-engine.ts';

test('[M80] UML runs user code at the host\'s speed and pays for system calls, translation the other way round; nothing is left', async (t) => {
  const root = await mkdtemp('/tmp/strata-f-');
  t.after(() => rm(root, { recursive: true, force: true }));
  const instance: Instance = { name: 'figs', stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: process.env['STRATA_CACHE'] ?? '/var/cache/strata', subnet: 189 };
  const deps = { clock: systemClock, dice: systemDice, log: silentLog, giveWay: () => Promise.resolve() }; // the other tests' work is not waited for
  const limit = AbortSignal.timeout(240_000);
  const [umlEngine, qemuEngine] = [
    openUmlEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance, flavour: 'uml' }) }),
    openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg' }),
  ] as const;
  const [uml, tcg] = [await measureEngine(deps, umlEngine, 'x86_64', limit), await measureEngine(deps, qemuEngine, 'x86_64', limit)];
  const said = JSON.stringify([uml, tcg]);
  t.diagnostic(said);
  ok(uml.stepNanos * 3 < tcg.stepNanos, said);
  ok(tcg.callNanos * 3 < uml.callNanos, said);
  deepEqual([uml.engine, uml.accelerator, tcg.engine, tcg.accelerator], ['uml', 'none', 'qemu', 'tcg']);
  for (const id of ['mfiguresumlxf', 'mfiguresqemuxf']) deepEqual(await vmmTraces(instance, id), []);
});
