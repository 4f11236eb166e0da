/**
 * A machine cold under TCG, from `start` to an agent that answers: our engine (jail, uid, cgroups, scratch disk; no
 * network) against the same kernel, initramfs, kernel command line, memory and processors given to QEMU by hand, with
 * nothing but the agent's port. `docker run` of a busybox image stands beside it: containers, not machines.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { architectures, silentLog, type Architecture } from '#base';
import { ensureGuestOs, type GuestOs, type MachineSpec } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { awaitAgent, startByHand } from './harness/machine-by-hand.ts';
import { awaitQuiet, inTurn, loadNow, median, p95, report, round, rounds, say, seconds } from './harness/measure.ts';
import { importBusybox, openDocker } from './harness/open-docker.ts';
import { ownInstance } from './harness/own-instance.ts';

const bars: Record<Architecture, number> = { x86_64: 2.0, aarch64: 1.5 };
const mostTimesByHand = 1.1;
const memoryMiB = 1024;

await using own = await ownInstance('bms', 193);
await mkdir(own.folder, { recursive: true });
const guestOs: Record<Architecture, GuestOs> = { x86_64: await ensureGuestOs('x86_64', own), aarch64: await ensureGuestOs('aarch64', own) };
const engine = openQemuEngine({ instance: own.instance, log: silentLog, guestOs: async (architecture) => guestOs[architecture], accelerator: async () => 'tcg' });
let count = 0;

/** By our engine, as the daemon asks it to; a scratch disk as every machine for containers has. */
async function startOurs(architecture: Architecture, processors: number): Promise<{ readonly took: number; readonly commandLine: readonly string[] }> {
  count += 1;
  const spec: MachineSpec = {
    id: `bench${count}`, name: `bench${count}`, architecture, engine: 'qemu', processors, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: 8192, disks: [], network: null,
    wanted: 'running', owner: null, createdAt: 1, generation: 1,
  };
  const began = performance.now();
  const machine = await engine.start(spec);
  await awaitAgent(await machine.openAgentLine());
  const took = (performance.now() - began) / 1000;
  const commandLine = await readCommandLine(machine.process.pid);
  await machine.kill();
  await machine.release();
  await engine.erase(spec.id);
  return { took, commandLine };
}

async function readCommandLine(pid: number): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
}

/** The words that make the platform, as our own machine had them; devices are left out. */
function handArguments(architecture: Architecture, ours: readonly string[]): string[] {
  const kept = ['-machine', '-accel', '-cpu', '-m', '-smp', '-append'].flatMap((option) => [option, (ours[ours.indexOf(option) + 1] ?? '').replace(' strata.scratch=disk', '')]);
  return [
    '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', ...kept, '-kernel', guestOs[architecture].kernel, '-initrd', guestOs[architecture].initramfs, '-serial', 'null',
    '-device', 'virtio-serial-pci,id=serial,max_ports=2', '-device', 'virtserialport,bus=serial.0,nr=1,chardev=agent,name=strata.agent',
  ];
}

async function startHand(architecture: Architecture, argv: readonly string[]): Promise<number> {
  count += 1;
  const began = performance.now();
  const machine = await startByHand({ architecture, argv, socket: `${own.folder}/hand${count}` });
  try {
    await awaitAgent(machine.line);
    return (performance.now() - began) / 1000;
  } finally {
    await machine.end();
  }
}

async function measure(architecture: Architecture, processors: number, bar: number | undefined): Promise<void> {
  const { commandLine } = await startOurs(architecture, processors);
  const argv = handArguments(architecture, commandLine);
  await startHand(architecture, argv);
  await awaitQuiet();
  const load = loadNow();
  const times = await inTurn(['ours', 'hand'], rounds(20), async (who) => (who === 'ours' ? (await startOurs(architecture, processors)).took : startHand(architecture, argv)));
  const [ours, hand] = [median(times.ours), median(times.hand)];
  const ratio = ours / hand;
  report({
    bench: `machine cold to agent, ${architecture}, ${processors} processor${processors === 1 ? '' : 's'} (TCG)`, unit: 's', strata: round(ours), p95: round(p95(times.ours)),
    rival: 'same kernel and init, QEMU by hand', rivalValue: round(hand), rivalP95: round(p95(times.hand)), ratio: round(ratio), rounds: times.ours.length, load,
    ...(bar === undefined ? {} : { bar: `≤ ${bar} s, ≤ ${mostTimesByHand} ×`, met: ours <= bar && ratio <= mostTimesByHand }),
  });
}

/** First output of a container of Docker, for the eye. */
async function measureDocker(): Promise<number | undefined> {
  await using docker = await openDocker();
  if (docker === undefined) {
    say('Debian\'s docker.io and docker-compose are not installed: no figure of Docker');
    return undefined;
  }
  await importBusybox(docker);
  const start = () => docker.run(['run', '--rm', 'busybox:bench', '/bin/busybox', 'echo', 'hello']);
  await start();
  const times: number[] = [];
  for (let at = 0; at < rounds(20); at += 1) times.push(await seconds(start));
  return median(times);
}

for (const architecture of architectures) await measure(architecture, 1, bars[architecture]);
// What an app's machine on this host gets: as many processors as the host has.
await measure('x86_64', availableParallelism(), undefined);
await awaitQuiet();
const docker = await measureDocker();
if (docker !== undefined) {
  report({ bench: 'a container of Docker, for comparison', unit: 's', strata: null, rival: 'docker run, bridge network, busybox', rivalValue: round(docker), rounds: rounds(20), load: loadNow(), note: 'a container shares the host\'s kernel; no bar' });
}
