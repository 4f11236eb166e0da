/** What to do instead, where a machine does not permit an action. Pure. */
import { machinePhases, permissionOf, type MachineAction } from '#contract';
import type { MachineSpec, MachineStatus } from '#machines';
import { groundsOf } from './show-machine.ts';

export function adviceAgainst(action: MachineAction, spec: MachineSpec, status: MachineStatus | undefined): string {
  const { name } = spec;
  const [phase, engine, served] = groundsOf(spec, status);
  if (!machinePhases.some((one) => permissionOf(action, one, engine, served).permitted)) return adviceInstead(action, spec, served, engine);
  if (action === 'clone' && phase === 'running') return `${permissionOf('fork', phase, engine, served).permitted ? `\`strata machine fork ${name} <new>\` makes a second one of it while it runs; or ` : ''}stop it, or clone a snapshot`;
  if (action === 'remove') return `\`strata machine stop ${name}\` first, or remove it with --force`;
  return (phase === 'paused' || phase === 'suspended') ? `let it go on with \`strata machine resume ${name}\`` : `see \`strata machine inspect ${name}\``;
}

/** Of what it permits in no phase. */
function adviceInstead(action: MachineAction, { name, disks }: MachineSpec, [served]: readonly string[], engine: string | null): string {
  const plain = disks.find((disk) => !disk.readOnly)?.serial;
  if (action === 'suspend') return 'pause it';
  if (served !== undefined && (action === 'snapshot' || action === 'restore')) return `\`strata disk snapshot ${action === 'snapshot' ? 'create' : 'restore'} ${name} ${served}\` does it with one disk, while the others stay`;
  if (served !== undefined) return `\`strata disk clone ${name} ${served} <new>\` makes a machine with a copy of one disk`;
  if (plain !== undefined && (action === 'clone' || action === 'fork')) return `\`strata disk clone ${name} ${plain} <new> --full\` makes a machine with a copy of one disk, while ${name} is stopped`;
  return engine === null ? `see \`strata machine inspect ${name}\`` : `see \`strata engine describe ${engine}\``;
}
