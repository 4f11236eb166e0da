/** Starts a small machine on an engine, has it measured, and removes it. */
import { loadavg } from 'node:os';
import { StrataError, type Architecture, type Clock, type Dice, type Log } from '#base';
import { openAgentConnection, type OpenedAgentConnection } from '../agent/open-agent-connection.ts';
import type { Engine } from '../engine.ts';
import type { EngineName, MachineSpec } from '../machine.ts';
import type { EngineFigures } from './engine-figures.ts';
import { measureFigures } from './measure-figures.ts';

export interface MeasureDeps {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly log: Log;
  /** Lets everything else go before this process and all it started. */
  giveWay(pid: number): Promise<void>;
}

/** Guests that are measured have no records; their ids are fixed, so that one of a daemon that died is found and erased. */
const measuredId = (engine: EngineName, architecture: Architecture): string => `mfigures${engine}${architecture === 'x86_64' ? 'xf' : 'aa'}`;
const [bootLimitMs, scriptLimitMs] = [120_000, 120_000];
/** A script prints two numbers; more than this is no answer. */
const longestAnswer = 1000;

/** @throws StrataError as the engine's start does, `agent.timeout`, `machine.badFigures` */
export async function measureEngine(deps: MeasureDeps, engine: Engine, architecture: Architecture, signal: AbortSignal): Promise<EngineFigures> {
  const spec = measuredSpec(engine.name, architecture);
  await eraseMeasured(engine, architecture);
  const [load = 0] = loadavg();
  const machine = await engine.start(spec, signal);
  const end = () => void machine.kill();
  signal.addEventListener('abort', end, { once: true });
  try {
    await deps.giveWay(machine.process.pid);
    const agent = await openAgentConnection(await machine.openAgentLine(), { clock: deps.clock, dice: deps.dice, log: deps.log, signal, handshakeMs: bootLimitMs });
    const figures = await measureFigures((script) => runInGuest(agent, script));
    agent.close();
    return { engine: engine.name, architecture, accelerator: machine.accelerator, ...figures, load, measuredAt: deps.clock.now() };
  } finally {
    signal.removeEventListener('abort', end);
    await machine.kill();
    await machine.release();
    await engine.erase(spec.id);
  }
}

/** Ends and removes what a daemon that died left in the middle of measuring. Fine where nothing is. */
export async function eraseMeasured(engine: Engine, architecture: Architecture): Promise<void> {
  const spec = measuredSpec(engine.name, architecture);
  const left = await engine.adopt(spec);
  if (left.found === 'running') {
    await left.machine.kill();
    await left.machine.release();
  }
  await engine.erase(spec.id);
}

async function runInGuest(agent: OpenedAgentConnection, script: string): Promise<string> {
  const stream = agent.openStream();
  stream.done.catch(() => undefined); // what failed is told by the call
  stream.errors.resume();
  await agent.call('exec', { container: '', stream: stream.id, argv: ['/bin/sh', '-c', script], env: ['PATH=/bin'], cwd: '/', user: '', tty: null, stdin: false }, { timeoutMs: scriptLimitMs });
  const late = AbortSignal.timeout(scriptLimitMs);
  late.addEventListener('abort', () => stream.close(), { once: true });
  let said = '';
  for await (const chunk of stream.output) {
    said += String(chunk);
    if (said.length > longestAnswer) break;
  }
  stream.close();
  if (late.aborted) throw new StrataError('a guest that was measured did not answer in time', { code: 'agent.timeout', kind: 'timeout' });
  return said;
}

function measuredSpec(engine: EngineName, architecture: Architecture): MachineSpec {
  return {
    id: measuredId(engine, architecture), name: 'figures', architecture, engine, processors: 1, memoryMiB: 256, boot: { kind: 'guest-os' }, scratchMiB: 0,
    disks: [], network: null, wanted: 'running', owner: null, createdAt: 0, generation: 1,
  };
}
