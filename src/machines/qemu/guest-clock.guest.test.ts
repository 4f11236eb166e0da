/**
 * A guest that boots while others have the processors: its clock passes as ours does.
 * Runs alone: it keeps all processors busy.
 */
import { deepEqual, match, ok } from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { architectures, hostArchitecture, silentLog, systemClock, type Instance } from '#base';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import { greetAgent, type OpenedAgentConnection } from '../testing/greet-agent.ts';
import { runInGuest } from '../testing/run-in-guest.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { runName } from '../testing/test-taps.ts';
import { whileBusy } from '../testing/while-busy.ts';
import { measureClock } from './templates/measure-clock.ts';
import { openQemuEngine } from './index.ts';

const root = await mkdtemp('/tmp/strata-gc-');
const instance: Instance = { name: runName('gc'), stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: 208 };
const engine = openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg' });
after(async () => { await rm(root, { recursive: true, force: true }); });

/** A guess of its own is right more often than not, however busy the host is; so the kernel is asked whose figure it took. */
async function tookOurFigure(agent: OpenedAgentConnection): Promise<void> {
  const { out } = await runInGuest(agent, 'busybox dmesg | busybox grep "tsc: Detected"; cat /proc/cmdline');
  const khz = Number(/tsc_early_khz=(\d+)/.exec(out)?.[1]);
  match(out, new RegExp(`tsc: Detected ${Math.floor(khz / 1000)}\\.${String(khz % 1000).padStart(3, '0')} MHz`));
}

for (const architecture of architectures) {
  test(`[Q45] its clock is right though the host was busy while it booted (${architecture})`, async () => {
    const spec = testMachine({ engine: 'qemu', architecture, network: null, scratchMiB: 0, memoryMiB: 192 });
    try {
      await whileBusy(4, async () => {
        const machine = await engine.start(spec);
        const agent = await greetAgent(machine, 120_000);
        ok(agent.hello.uptimeMs < 120_000, 'what it says of its age');
        if (architecture === hostArchitecture && architecture === 'x86_64') await tookOurFigure(agent);
        await measureClock(systemClock, async () => (await agent.call('ping', {})).uptimeMs, AbortSignal.timeout(60_000));
        agent.close();
        await machine.release();
      });
    } finally {
      await engine.erase(spec.id);
    }
    deepEqual((await Promise.all(['r/q', 's/qemu-uids'].map((folder) => readdir(join(root, folder)).catch(() => [])))).flat(), [], 'nothing is left');
  });
}
