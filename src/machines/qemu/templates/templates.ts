/** The templates of a host, as whoever starts machines asks for them. */
import type { TemplatePlaces } from './template-places.ts';
import type { TemplateRecord } from './template-record.ts';
import type { TemplateShape } from './template-shape.ts';
import type { Zygote } from '../zygotes/zygote.ts';

export interface Template extends TemplatePlaces { readonly key: string; readonly record: TemplateRecord }

export interface Templates {
  /** One that fits; else why there is none. @param use false: only to look */
  find(shape: TemplateShape, options?: { readonly use: boolean }): Promise<{ readonly template: Template } | { readonly why: string }>;
  /** A machine of this shape had to boot: the next shall not. */
  missed(shape: TemplateShape): void;
  /** A clone of it could not be made to run: it goes, and is made again a few times at most. */
  failed(template: Template, why: string): Promise<void>;
  /** The process that machines of this template are copied from, where it can be had; where not, one is made for the next. */
  zygoteOf(template: Template): Promise<Zygote | undefined>;
  /** A copy of it did not come to run: it goes, and is made again a few times at most. */
  zygoteFailed(template: Template, why: string): Promise<void>;
  /** Made now where there is none, with its zygote; for tests and benches. */
  ensure(shape: TemplateShape): Promise<Template>;
  /** Nothing is made any more; those that are there stay for the next daemon. */
  close(): Promise<void>;
}
