/**
 * The templates of this host: which there are, one that fits, and making those that were missed, one at a time, in the
 * background. Nothing is remembered that a later daemon would need: a template is its folder and its holder.
 */
import { freemem, totalmem } from 'node:os';
import { asStrataError, StrataError } from '#base';
import type { QemuContext } from '../qemu-context.ts';
import { chooseDropped, templateBudget } from './choose-dropped.ts';
import { dropTemplate } from './drop-template.ts';
import { findTemplate, listTemplates } from './find-template.ts';
import { makeTemplate } from './make-template.ts';
import { templatePlaces } from './template-places.ts';
import { templateKey, type TemplateShape } from './template-shape.ts';
import type { Template } from './template.ts';
import type { Templates } from './templates.ts';
import { openZygotes } from '../zygotes/open-zygotes.ts';
import { findZygote } from '../zygotes/zygote.ts';

export interface TemplateSettings {
  /** Host memory all templates may take; default a sixteenth of the host's, at most 1 GiB. */
  readonly budgetBytes?: number;
  /** From a cold start until its template is begun, so that neither disturbs the other. */
  readonly delayMs?: number;
  /** False: machines are always cloned from the template itself. */
  readonly zygotes?: boolean;
}

const defaultDelayMs = 5000;
const maxFailures = 2;
const lookEveryMs = 30_000;

export function openTemplates(context: QemuContext, settings: TemplateSettings): Templates {
  const { log, clock } = context;
  const end = new AbortController();
  const wanted = new Map<string, TemplateShape>();
  const failures = new Map<string, number>();
  const usedAt = new Map<string, number>();
  let tail: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = tail.then(work, work);
    tail = mine.catch(() => undefined);
    return mine;
  };

  const zygotes = openZygotes(context, { wanted: settings.zygotes !== false, signal: end.signal, inTurn });

  async function prune(made?: TemplateShape): Promise<void> {
    const templates = await Promise.all((await listTemplates(context.instance)).map(async (one) => ({
      key: one.key, shape: one.record.shape, usedAt: usedAt.get(one.key) ?? one.record.madeAt, usedBytes: one.record.usedBytes + ((await findZygote(context, one))?.record.heldBytes ?? 0),
    })));
    const dropped = chooseDropped({ templates, made, now: clock.now(), budgetBytes: settings.budgetBytes ?? templateBudget(totalmem()), freeBytes: freemem(), totalBytes: totalmem() });
    for (const { key, why } of dropped) {
      await dropTemplate(context, key);
      log.info({ template: key, why }, 'a template was dropped');
    }
  }

  async function make(shape: TemplateShape): Promise<Template> {
    const key = templateKey(shape);
    const places = templatePlaces(context.instance, key);
    const there = await findTemplate(context.instance, key);
    if (there !== undefined) return there;
    try {
      const record = await makeTemplate(context, shape, places, end.signal);
      log.info({ template: key, ...record }, 'a template was made');
      await prune(shape);
      return { key, ...places, record };
    } catch (thrown) {
      if (!end.signal.aborted) failures.set(key, (failures.get(key) ?? 0) + 1);
      throw thrown;
    }
  }

  async function makeLater(shape: TemplateShape): Promise<void> {
    const key = templateKey(shape);
    try {
      await clock.wait(settings.delayMs ?? defaultDelayMs, end.signal);
      await inTurn(async () => {
        if (end.signal.aborted) return;
        const memoryBytes = shape.memoryMiB * 1024 * 1024;
        if (freemem() < 2 * memoryBytes) log.info({ template: key }, 'no template is made: the host has little free memory');
        else await zygotes.make(await make(shape));
      });
    } catch (thrown) {
      if (!end.signal.aborted) log.warn({ template: key, error: asStrataError(thrown, 'making a template').message }, 'a template could not be made');
    } finally {
      wanted.delete(key);
    }
  }

  const making = new Set<Promise<void>>();
  const looked = keepLooking();
  async function keepLooking(): Promise<void> {
    for (;;) {
      await clock.wait(lookEveryMs, end.signal).catch(() => undefined);
      if (end.signal.aborted) return;
      await inTurn(() => prune()).catch((thrown: unknown) => log.warn({ error: asStrataError(thrown, 'templates').message }, 'templates could not be looked at'));
    }
  }

  return {
    async find(shape, options = { use: true }) {
      const key = templateKey(shape);
      const template = await findTemplate(context.instance, key);
      if (template === undefined) return { why: (failures.get(key) ?? 0) > 0 ? 'its template could not be made or used' : 'there is no template of its shape yet' };
      if (options.use) usedAt.set(key, clock.now());
      return { template };
    },
    missed(shape) {
      const key = templateKey(shape);
      if (wanted.has(key) || end.signal.aborted || (failures.get(key) ?? 0) >= maxFailures) return;
      wanted.set(key, shape);
      const work = makeLater(shape).finally(() => making.delete(work));
      making.add(work);
    },
    failed: (template, why) => inTurn(async () => {
      failures.set(template.key, (failures.get(template.key) ?? 0) + 1);
      log.warn({ template: template.key, why }, 'a template could not be used and is dropped');
      await dropTemplate(context, template.key);
    }),
    zygotes,
    ensure: (shape) => inTurn(async () => {
      if (end.signal.aborted) throw new StrataError('the engine is closed', { code: 'machine.templateFailed', kind: 'unavailable' });
      const template = await make(shape);
      await zygotes.make(template);
      return template;
    }),
    async close() {
      end.abort(new StrataError('the daemon ends', { code: 'machine.templateFailed', kind: 'unavailable' }));
      await Promise.all([...making, looked, zygotes.close()]);
      await tail;
    },
  };
}
