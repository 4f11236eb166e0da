/** Both carriers pass the suite: a disk inside QEMU, and one that a back end serves. */
import { diskOperationsContract, type CarrierUnderTest } from './disk-operations.contract.ts';
import { startFront } from './testing/start-front.ts';

const subnet = 207;

diskOperationsContract('inside QEMU', () => setup(false));
diskOperationsContract('qemu-storage-daemon', () => setup(true));

async function setup(served: boolean): Promise<CarrierUnderTest> {
  const front = await startFront({ engine: 'qemu', architecture: 'x86_64', served }, subnet);
  return { ...front, agent: front.agent(), serial: front.disk.serial, path: front.disk.path, growsLive: !served };
}
