/** The templates of a host, as whoever starts machines asks for them. */
import type { Template } from './template.ts';
import type { TemplateShape } from './template-shape.ts';
import type { Zygotes } from '../zygotes/zygotes.ts';

export interface Templates {
  /** One that fits; else why there is none. @param use false: only to look */
  find(shape: TemplateShape, options?: { readonly use: boolean }): Promise<{ readonly template: Template } | { readonly why: string }>;
  /** A machine of this shape had to boot: the next shall not. */
  missed(shape: TemplateShape): void;
  /** A clone of it could not be made to run: it goes, and is made again a few times at most. */
  failed(template: Template, why: string): Promise<void>;
  /** The processes that machines of templates are copied from. */
  readonly zygotes: Zygotes;
  /** Made now where there is none, with its zygote; for tests and benches. */
  ensure(shape: TemplateShape): Promise<Template>;
  /** Nothing is made any more; those that are there stay for the next daemon. */
  close(): Promise<void>;
}
