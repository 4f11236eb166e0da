/** Both carriers pass the suite: a disk inside QEMU, and one that a back end serves. */
import { diskOperationsContract, type CarrierUnderTest } from './disk-operations.contract.ts';
import { startFront } from './testing/start-front.ts';

diskOperationsContract('inside QEMU', () => setup(false));
diskOperationsContract('qemu-storage-daemon', () => setup(true));

const subnet = 207;

async function setup(served: boolean): Promise<CarrierUnderTest> {
  const front = await startFront({ engine: 'qemu', architecture: 'x86_64', served }, subnet);
  return { ...front, agent: front.agent(), serial: front.disk.serial, path: front.disk.path, growsLive: !served };
}
