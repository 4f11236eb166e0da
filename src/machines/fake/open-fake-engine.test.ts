/** The engine in memory passes the suite of all engines. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { engineContract } from '../engine.contract.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { fakeWorld, openFakeEngine } from './index.ts';

engineContract('fake', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strata-fake-'));
  const world = fakeWorld({ bootMs: 20 });
  let disks = 0;
  const open = () => openFakeEngine({ world, checkDisks: true });
  return {
    engine: open(), laterEngine: open, bootLimitMs: 5000,
    spec: (changes) => testMachine({ engine: 'fake', ...changes }),
    async disk() {
      disks += 1;
      const path = join(folder, `${disks}.raw`);
      await writeFile(path, Buffer.alloc(1024 * 1024));
      return { serial: `disk-${disks}`, path, format: 'raw', readOnly: false };
    },
    traces: (id) => Promise.resolve(world.vmms.has(id) ? [`machine ${id}`] : []),
    isAlive: (process) => Promise.resolve([...world.vmms.values()].some((vmm) => vmm.exit === undefined && vmm.process.pid === process.pid)),
    endProcess: (process) => Promise.resolve(world.endProcess(process)),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}, 'none with devices');
