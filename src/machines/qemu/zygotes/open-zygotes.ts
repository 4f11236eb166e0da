/** The zygotes of this host's templates: which there are, and making those that were missed, in the background. */
import { freemem } from 'node:os';
import { asStrataError } from '#base';
import { eraseMachine } from '../erase-machine.ts';
import type { QemuContext } from '../qemu-context.ts';
import type { Template } from '../templates/templates.ts';
import { makeZygote } from './make-zygote.ts';
import { findZygote, zygoteMachineId, type Zygote } from './zygote.ts';

export interface Zygotes {
  /** Where there is none, one is made for the next. */
  of(template: Template): Promise<Zygote | undefined>;
  failed(template: Template, why: string): Promise<void>;
  /** Made now where there is none; never throws: without one, machines are cloned from the template itself. In turn with all else that is made. */
  make(template: Template): Promise<void>;
  close(): Promise<void>;
}

export interface ZygotesDeps {
  readonly signal: AbortSignal;
  inTurn<T>(work: () => Promise<T>): Promise<T>;
}

const maxFailures = 2;

export function openZygotes(context: QemuContext, { signal, inTurn }: ZygotesDeps): Zygotes {
  const { log } = context;
  const failures = new Map<string, number>();
  const making = new Map<string, Promise<void>>();
  const noteFailure = (key: string): void => { failures.set(key, (failures.get(key) ?? 0) + 1); };
  /** KVM's guest is the kernel's, not the process's. */
  const canHave = ({ key, record }: Template): boolean => record.shape.accelerator === 'tcg' && (failures.get(key) ?? 0) < maxFailures && !signal.aborted;

  async function make(template: Template): Promise<void> {
    const { key } = template;
    if (!canHave(template) || await findZygote(context, template) !== undefined) return;
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
      const zygote = await findZygote(context, template);
      if (zygote !== undefined) return zygote;
      if (canHave(template) && !making.has(template.key)) {
        making.set(template.key, inTurn(() => make(template)).finally(() => making.delete(template.key)));
      }
      return undefined;
    },
    failed: (template, why) => inTurn(async () => {
      noteFailure(template.key);
      log.warn({ template: template.key, why }, 'a zygote could not be copied and is dropped');
      await eraseMachine(context, zygoteMachineId(template.key));
    }),
    make,
    async close() { await Promise.all(making.values()); },
  };
}
