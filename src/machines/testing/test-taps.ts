/** For tests with real VMMs: names and taps that no other run of the same test has, be it cut off or still under way. */
import { existsSync } from 'node:fs';
import { runProcess } from '#base';

/** An instance's name of this run alone: what a run that was cut off left behind is in nobody's way. */
export const runName = (letter: string): string => `${letter}${(process.pid % 36 ** 4).toString(36).padStart(4, '0')}`;

export interface TestTaps {
  nameOf(machineId: string): string;
  ensureTap(machineId: string): Promise<string>;
  removeTap(machineId: string): Promise<void>;
}

/** Taps as the host's network makes them, named after the run; one that is there stays, for a VMM may have it already. */
export function testTaps(prefix: string): TestTaps {
  const nameOf = (machineId: string): string => `${prefix}-${machineId}`.slice(0, 15);
  const removeTap = async (machineId: string): Promise<void> => { await runProcess(['ip', 'link', 'delete', 'dev', nameOf(machineId)], { okCodes: [0, 1] }); };
  return {
    nameOf,
    removeTap,
    async ensureTap(machineId) {
      const name = nameOf(machineId);
      if (!existsSync(`/sys/class/net/${name}`)) await runProcess(['ip', '-batch', '-'], { input: `tuntap add dev ${name} mode tap vnet_hdr\nlink set dev ${name} up\n` });
      return name;
    },
  };
}
