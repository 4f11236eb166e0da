/**
 * A machine as a clone of its template under TCG, from `start` to an agent that answers with its own identity: bare against
 * its own cold boot in turn; then with its card and disks, to the guest seeing them, against `docker run` in turn.
 */
import { mkdir } from 'node:fs/promises';
import { architectures, runProcess, silentLog, systemClock, systemDice, waitUntil, type Architecture } from '#base';
import { ensureGuestOs, type MachineSpec } from '#machines';
import { openQemuEngine, type QemuEngine } from '#machines/qemu';
import { openAgentConnection } from '../src/machines/agent/open-agent-connection.ts';
import { awaitAgent } from './harness/machine-by-hand.ts';
import { awaitQuiet, inTurn, judge, loadNow, median, p95, report, round, rounds, say } from './harness/measure.ts';
import { importBusybox, openDocker } from './harness/open-docker.ts';
import { ownInstance } from './harness/own-instance.ts';

const memoryMiB = 256;
const [bareBar, wholeBar, timesFaster] = [0.12, 0.35, 15];

await using own = await ownInstance('bmc', 194);
await mkdir(own.folder, { recursive: true });
const network = {
  async ensureTap(machineId: string): Promise<string> {
    // The template has one of its own, while it is made.
    const tap = `bmc-${machineId.slice(-7)}`;
    await runProcess(['ip', '-batch', '-'], { input: `tuntap add dev ${tap} mode tap vnet_hdr\nlink set dev ${tap} up\n` });
    return tap;
  },
  async removeTap(machineId: string): Promise<void> { await runProcess(['ip', 'link', 'delete', 'dev', `bmc-${machineId.slice(-7)}`], { okCodes: [0, 1] }); },
};
const deps = { instance: own.instance, log: silentLog, guestOs: (architecture: Architecture) => ensureGuestOs(architecture, own), accelerator: async () => 'tcg' as const, network };
const [cold, clones] = [openQemuEngine(deps), openQemuEngine({ ...deps, templates: {} })];
let count = 0;

function specOf(architecture: Architecture, whole: boolean): MachineSpec {
  count += 1;
  return {
    id: `bench${count}`, name: `bench${count}`, architecture, engine: 'qemu', processors: 1, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: whole ? 8192 : 0, disks: [],
    network: whole ? { mac: '02:00:0a:c2:00:05', address: '10.194.0.5' } : null, wanted: 'running', owner: null, createdAt: 1, generation: 1,
  };
}

async function seconds(by: QemuEngine, spec: MachineSpec): Promise<number> {
  const began = performance.now();
  const machine = await by.start(spec);
  if (by === clones && machine.startedBy?.way !== 'template') throw new Error(`it was booted: ${machine.startedBy?.why}`);
  const line = await machine.openAgentLine();
  if (spec.network === null) await awaitAgent(line);
  else {
    const agent = await openAgentConnection(line, { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 60_000 });
    await agent.call('awaitDisks', { serials: ['scratch'], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
    const card = () => agent.call('fileRead', { container: '', path: '/sys/class/net/eth0/address', offset: 0, length: 20 }).catch(() => undefined);
    await waitUntil(card, { what: 'the guest has its card', limitMs: 20_000, everyMs: 5 });
  }
  const took = (performance.now() - began) / 1000;
  await machine.kill();
  await machine.release();
  await by.erase(spec.id);
  return took;
}

async function measureBare(architecture: Architecture): Promise<void> {
  await clones.ensureTemplate(specOf(architecture, false));
  for (const by of [clones, cold]) await seconds(by, specOf(architecture, false));
  await awaitQuiet();
  const load = loadNow();
  const times = await inTurn(['clone', 'cold'], rounds(20), (who) => seconds(who === 'clone' ? clones : cold, specOf(architecture, false)));
  const ratio = median(times.cold) / median(times.clone);
  report({
    bench: `clone to agent, ${architecture}, no card, no disk (TCG)`, unit: 's', strata: round(median(times.clone)), p95: round(p95(times.clone)), rival: 'its own cold boot', rivalValue: round(median(times.cold)), rivalP95: round(p95(times.cold)),
    ratio: round(1 / ratio), rounds: times.clone.length, load, bar: `≤ ${bareBar} s, ${timesFaster} × faster than cold (is ${round(ratio, 1)} ×)`, met: median(times.clone) <= bareBar && ratio >= timesFaster,
  });
}

async function measureWhole(architecture: Architecture): Promise<void> {
  await clones.ensureTemplate(specOf(architecture, true));
  await seconds(clones, specOf(architecture, true));
  await using docker = await openDocker();
  if (docker === undefined) say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker');
  else await importBusybox(docker);
  const dockerRun = async (): Promise<number> => {
    const began = performance.now();
    await docker?.run(['run', '--rm', 'busybox:bench', '/bin/busybox', 'echo', 'hello']);
    return (performance.now() - began) / 1000;
  };
  await dockerRun();
  await awaitQuiet();
  const load = loadNow();
  const times = await inTurn(['clone', 'docker'], rounds(20), (who) => (who === 'clone' ? seconds(clones, specOf(architecture, true)) : dockerRun()));
  const [ours, theirs] = [median(times.clone), docker === undefined ? null : median(times.docker)];
  report({
    bench: `clone to agent with its card and scratch disk, ${architecture} (TCG)`, unit: 's', strata: round(ours), p95: round(p95(times.clone)), rival: 'docker run, bridge network, busybox', rivalValue: theirs === null ? null : round(theirs),
    ...(theirs === null ? {} : { rivalP95: round(p95(times.docker)), ratio: round(ours / theirs) }), rounds: times.clone.length, load,
    bar: `≤ ${wholeBar} s, < docker run`, ...judge(ours <= wholeBar, theirs === null ? undefined : ours < theirs),
  });
}

try {
  for (const architecture of architectures) {
    await measureBare(architecture);
    await measureWhole(architecture);
  }
} finally {
  await clones.close();
  await clones.dropTemplates();
}
