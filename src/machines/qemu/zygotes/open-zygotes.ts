/** The zygotes of this host's templates: which there are, and making those that were missed, in the background. */
import { freemem } from 'node:os';
import { asStrataError, signalProcess } from '#base';
import type { QemuContext } from '../qemu-context.ts';
import type { Template } from '../templates/template.ts';
import { makeZygote } from './make-zygote.ts';
import { findZygote, type Zygote } from './zygote.ts';
import type { Zygotes } from './zygotes.ts';

export interface ZygotesDeps {
  /** False: there are none. */
  readonly wanted: boolean;
  readonly signal: AbortSignal;
  inTurn<T>(work: () => Promise<T>): Promise<T>;
}

const maxFailures = 2;

export function openZygotes(context: QemuContext, { wanted, signal, inTurn }: ZygotesDeps): Zygotes {
  const { log } = context;
  const failures = new Map<string, number>();
  const making = new Map<string, Promise<void>>();
  const noteFailure = (key: string): void => { failures.set(key, (failures.get(key) ?? 0) + 1); };
  /** KVM's guest is the kernel's, not the process's. */
  const canHave = ({ key, record }: Template): boolean => wanted && record.shape.accelerator === 'tcg' && (failures.get(key) ?? 0) < maxFailures && !signal.aborted;
  const find = (template: Template): Promise<Zygote | undefined> => findZygote(context, template).catch(() => undefined);

  async function make(template: Template): Promise<void> {
    const { key } = template;
    if (!canHave(template) || await find(template) !== undefined) return;
    if (freemem() < 2 * template.record.usedBytes) return log.info({ template: key }, 'no zygote is made: the host has little free memory');
    try {
      const record = await makeZygote(context, template, signal);
      log.info({ template: key, ...record }, 'a zygote was made');
    } catch (thrown) {
      if (signal.aborted) return;
      noteFailure(key);
      log.warn({ template: key, error: asStrataError(thrown, 'making a zygote').message }, 'a zygote could not be made');
    }
  }

  return {
    async of(template) {
      if (!wanted) return undefined;
      const zygote = await find(template);
      if (zygote !== undefined) return zygote;
      if (canHave(template) && !making.has(template.key)) {
        making.set(template.key, inTurn(() => make(template)).finally(() => making.delete(template.key)));
      }
      return undefined;
    },
    worked: (template) => { failures.delete(template.key); },
    async failed(template, { vmm }, why) {
      const now = await find(template);
      if (now === undefined || now.vmm.pid !== vmm.pid || now.vmm.startTicks !== vmm.startTicks) return; // others said so before
      noteFailure(template.key);
      log.warn({ template: template.key, why }, 'a zygote could not be copied and is ended');
      await signalProcess(vmm, 'SIGKILL'); // what is left of it goes when the next one is made, or with the template
    },
    make,
    async close() { await Promise.all(making.values()); },
  };
}
