/** A machine cold under TCG, from its start to an agent that answers: by our engine, and by hand with the same words to the kernel. */
import { mkdir, readFile } from 'node:fs/promises';
import { silentLog, type Architecture } from '#base';
import { ensureGuestOs, type GuestOs, type MachineSpec } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { awaitAgent, startByHand } from './machine-by-hand.ts';
import type { OwnInstance } from './own-instance.ts';

const memoryMiB = 1024;
const ticksPerSecond = 100;

export interface ColdStarts {
  /** As the daemon asks our engine to; with a scratch disk as every machine for containers has, without a network. */
  ours(architecture: Architecture, processors: number): Promise<{ readonly took: number; readonly commandLine: readonly string[] }>;
  /** The words that make the platform, as a machine of ours had them, with nothing but the agent's port. */
  handArguments(architecture: Architecture, ours: readonly string[]): string[];
  /** In seconds: how long it took, and how much processor time QEMU. */
  hand(architecture: Architecture, argv: readonly string[]): Promise<{ readonly took: number; readonly computed: number }>;
}

export async function openColdStarts({ instance, folder }: OwnInstance): Promise<ColdStarts> {
  await mkdir(folder, { recursive: true });
  const guestOs: Record<Architecture, GuestOs> = { x86_64: await ensureGuestOs('x86_64', { instance }), aarch64: await ensureGuestOs('aarch64', { instance }) };
  const engine = openQemuEngine({ instance, log: silentLog, guestOs: async (architecture) => guestOs[architecture], accelerator: async () => 'tcg' });
  let count = 0;
  return {
    async ours(architecture, processors) {
      count += 1;
      const spec: MachineSpec = {
        id: `bench${count}`, name: `bench${count}`, architecture, engine: 'qemu', processors, memoryMiB, boot: { kind: 'guest-os' }, scratchMiB: 8192, disks: [], network: null,
        wanted: 'running', owner: null, createdAt: 1, generation: 1,
      };
      const began = performance.now();
      const machine = await engine.start(spec);
      await awaitAgent(await machine.openAgentLine());
      const took = (performance.now() - began) / 1000;
      const commandLine = (await readFile(`/proc/${machine.process.pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
      await machine.kill();
      await machine.release();
      await engine.erase(spec.id);
      return { took, commandLine };
    },
    handArguments(architecture, ours) {
      const kept = ['-machine', '-accel', '-cpu', '-m', '-smp', '-append'].flatMap((option) => [option, (ours[ours.indexOf(option) + 1] ?? '').replace(' strata.scratch=disk', '')]);
      return [
        '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', ...kept, '-kernel', guestOs[architecture].kernel, '-initrd', guestOs[architecture].initramfs, '-serial', 'null',
        '-device', 'virtio-serial-pci,id=serial,max_ports=2', '-device', 'virtserialport,bus=serial.0,nr=1,chardev=agent,name=strata.agent',
      ];
    },
    async hand(architecture, argv) {
      count += 1;
      const began = performance.now();
      const machine = await startByHand({ architecture, argv, socket: `${folder}/hand${count}` });
      try {
        await awaitAgent(machine.line);
        return { took: (performance.now() - began) / 1000, computed: await processorSeconds(machine.pid) };
      } finally {
        await machine.end();
      }
    },
  };
}

async function processorSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13).map(Number);
  return ((user ?? 0) + (system ?? 0)) / ticksPerSecond;
}
