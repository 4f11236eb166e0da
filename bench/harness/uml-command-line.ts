/** What a UML machine of ours tells its kernel, as its guest sees it. */
import { hostArchitecture, silentLog, systemClock, systemDice } from '#base';
import type { Engine, MachineSpec } from '#machines';
import { openAgentConnection } from '../../src/machines/agent/open-agent-connection.ts';
import { awaitAgent } from './machine-by-hand.ts';

export const umlSpec = (id: string): MachineSpec => ({
  id, name: id, architecture: hostArchitecture, engine: 'uml', processors: 1, memoryMiB: 1024, boot: { kind: 'guest-os' }, scratchMiB: 8192, disks: [], network: null,
  wanted: 'running', owner: null, createdAt: 1, generation: 1,
});

export async function umlCommandLine(engine: Engine): Promise<string> {
  const spec = umlSpec('words');
  const machine = await engine.start(spec);
  try {
    const line = await machine.openAgentLine();
    await awaitAgent(line);
    const agent = await openAgentConnection(line, { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 60_000 });
    const { content } = await agent.call('fileRead', { container: '', path: '/proc/cmdline', offset: 0, length: 4096 });
    return Buffer.from(content, 'base64').toString();
  } finally {
    await machine.kill();
    await machine.release();
    await engine.erase(spec.id);
  }
}
