/**
 * For tests with real guests: engines of QEMU on an instance of their own, and what is started on them. After each test its
 * machines are erased, as they are; after the last one the host must have nothing of any of them.
 */
import { deepEqual, rejects } from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach } from 'node:test';
import { pino } from 'pino';
import { childEnvironment, runProcess, type Instance } from '#base';
import type { RunningMachine } from '../engine.ts';
import { ensureGuestOs } from '../guest-os/ensure-guest-os.ts';
import type { MachineDisk, MachineSpec } from '../machine.ts';
import { openQemuEngine, type QemuEngine } from '../qemu/index.ts';
import type { TemplateSettings } from '../qemu/templates/open-templates.ts';
import { greetAgent, type OpenedAgentConnection } from './greet-agent.ts';
import { qemuCensus } from './qemu-census.ts';
import { testMachine } from './test-daemon.ts';
import { runName, testTaps, type TestTaps } from './test-taps.ts';

export interface QemuBench {
  /** Folder of all that the tests make. */
  readonly root: string;
  readonly instance: Instance;
  readonly network: TestTaps;
  /** The first one. */
  readonly engine: QemuEngine;
  /** One more, as a later daemon opens it; its templates as the bench's where nothing is said. */
  readonly openEngine: (templates?: TemplateSettings) => QemuEngine;
  /** A machine without a card, and like the bench's; it is erased after the test. */
  readonly specOf: (changes?: Partial<MachineSpec>) => MachineSpec;
  /** An empty one that takes no room, in a file of its own; of 4 MiB where nothing is said. */
  readonly newDisk: (serial?: string, bytes?: number) => Promise<MachineDisk>;
  /** Of what was started or found; let go of after the test. */
  readonly keep: (machine: RunningMachine) => RunningMachine;
  /** Its agent, whose line is closed after the test. */
  readonly agentOf: (machine: RunningMachine) => Promise<OpenedAgentConnection>;
  /** A daemon of its own does this with its `engine`, and dies at this crash point, which is one of `machines.`. */
  readonly daemonKilledAt: (point: string, work: string, templates?: TemplateSettings) => Promise<void>;
}

/** Called once, by a test file as it is loaded. */
export function qemuBench(of: { readonly letter: string; readonly subnet: number; readonly machine: Partial<MachineSpec>; readonly templates?: TemplateSettings }): QemuBench {
  const root = mkdtempSync(`/tmp/strata-${of.letter}-`);
  const instance: Instance = { name: runName(of.letter), stateDir: join(root, 's'), runDir: join(root, 'r'), cacheDir: '/var/cache/strata', subnet: of.subnet };
  const network = testTaps(instance.name);
  const [engines, specs, machines, agents]: [QemuEngine[], MachineSpec[], RunningMachine[], OpenedAgentConnection[]] = [[], [], [], []];
  const warned: string[] = [];
  const log = pino({ level: 'warn', base: null }, { write: (line) => { warned.push(line.trim()); } });
  let disks = 0;

  function openEngine(templates = of.templates): QemuEngine {
    const one = openQemuEngine({ instance, log, guestOs: (architecture) => ensureGuestOs(architecture, { instance }), accelerator: async () => 'tcg', network, ...(templates === undefined ? {} : { templates }) });
    engines.push(one);
    return one;
  }
  const engine = openEngine();

  afterEach(async (context) => {
    // Why something came about in another way than it should.
    for (const line of warned.splice(0)) if ('passed' in context && !context.passed) context.diagnostic(line);
    for (const agent of agents.splice(0)) agent.close();
    for (const machine of machines.splice(0)) await machine.release();
    for (const spec of specs.splice(0)) await engine.erase(spec.id);
  });
  after(async () => {
    for (const one of engines) await one.close();
    await engine.dropTemplates();
    const left = await qemuCensus(root, instance);
    await rm(root, { recursive: true, force: true });
    deepEqual(left, [], 'nothing is left');
  });

  return {
    root, instance, network, engine, openEngine,
    specOf(changes) {
      const spec = testMachine({ engine: 'qemu', network: null, ...of.machine, ...changes });
      specs.push(spec);
      return spec;
    },
    async newDisk(serial, bytes = 4 * 1024 * 1024) {
      disks += 1;
      const path = join(root, `disk-${disks}.raw`);
      const file = await open(path, 'wx', 0o600);
      try { await file.truncate(bytes); } finally { await file.close(); }
      return { serial: serial ?? `disk-${disks}`, path, format: 'raw', readOnly: false };
    },
    keep(machine) { machines.push(machine); return machine; },
    async agentOf(machine) {
      const agent = await greetAgent(machine);
      agents.push(agent);
      return agent;
    },
    async daemonKilledAt(point, work, templates) {
      const program = `
        import { openQemuEngine } from '${import.meta.dirname}/../qemu/index.ts';
        import { ensureGuestOs } from '${import.meta.dirname}/../guest-os/ensure-guest-os.ts';
        import { silentLog } from '${import.meta.dirname}/../../base/index.ts';
        const instance = ${JSON.stringify(instance)};
        const engine = openQemuEngine({ instance, log: silentLog, guestOs: (one) => ensureGuestOs(one, { instance }), accelerator: async () => 'tcg'${templates === undefined ? '' : `, templates: ${JSON.stringify(templates)}`} });
        ${work}`;
      const env = { ...childEnvironment, STRATA_FAILPOINTS: `machines.${point}=kill` };
      await rejects(runProcess([process.execPath, '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program], { env }), /SIGKILL/, point);
    },
  };
}
