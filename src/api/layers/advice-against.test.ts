/** Advice for what a machine does not permit: nothing in it that this machine does not permit either. Pure. */
import { equal, match, doesNotMatch } from 'node:assert/strict';
import { test } from 'node:test';
import { machineActions, machinePhases, permissionOf } from '#contract';
import type { MachineDisk, MachineSpec, MachineStatus } from '#machines';
import { adviceAgainst } from './advice-against.ts';
import { groundsOf } from './show-machine.ts';

const plain: MachineDisk = { serial: 'data', path: '/disks/data', format: 'raw', readOnly: false };
const served: MachineDisk = { ...plain, backend: 'vhost-user' };
const machine = (engine: MachineSpec['engine'], disks: readonly MachineDisk[]) => ({ name: 'u', engine, disks }) as unknown as MachineSpec;
const at = (phase: MachineStatus['phase'], engine: MachineStatus['engine'] = null) => ({ phase, engine }) as MachineStatus;

test('[A13] what a machine can in no phase is not advised, and what it can instead is', () => {
  match(adviceAgainst('clone', machine('qemu', []), at('running', 'qemu')), /strata machine fork u <new>/);
  equal(adviceAgainst('clone', machine('auto', [plain]), at('running', 'uml')), '`strata disk clone u data <new> --full` makes a machine with a copy of one disk, while u is stopped');
  equal(adviceAgainst('clone', machine('uml', []), at('paused', 'uml')), 'see `strata engine describe uml`', 'going on would not help');
  equal(adviceAgainst('clone', machine('qemu', [served]), at('running', 'qemu')), '`strata disk clone u data <new>` makes a machine with a copy of one disk');
  equal(adviceAgainst('snapshot', machine('qemu', [served]), at('running', 'qemu')), '`strata disk snapshot create u data` does it with one disk, while the others stay');
  equal(adviceAgainst('suspend', machine('qemu', [served]), at('running', 'qemu')), 'pause it');
  equal(adviceAgainst('exec', machine('qemu', []), at('paused', 'qemu')), 'let it go on with `strata machine resume u`');
  for (const spec of [machine('uml', []), machine('uml', [plain]), machine('uml', [served]), machine('qemu', [plain]), machine('qemu', [served]), machine('auto', [])]) {
    for (const phase of machinePhases) {
      for (const action of machineActions) {
        const status = at(phase);
        if (permissionOf(action, ...groundsOf(spec, status)).permitted) continue;
        const advice = adviceAgainst(action, spec, status);
        for (const advised of ['fork', 'clone', 'suspend'] as const) if (!permissionOf(advised, ...groundsOf(spec, status)).permitted) doesNotMatch(advice, new RegExp(`machine ${advised}`), `${action} at ${phase}`);
      }
    }
  }
});
