/** The zygotes of this host's templates, as whoever starts machines asks for them. */
import type { Template } from '../templates/template.ts';
import type { Zygote } from './zygote.ts';

/** None of it throws: without a zygote, machines are cloned from the template itself. */
export interface Zygotes {
  /** Where there is none, one is made for the next. */
  of(template: Template): Promise<Zygote | undefined>;
  /** A copy of it runs: what went wrong before is over. */
  worked(template: Template): void;
  /** A copy of it did not come to run: it goes, and is made again a few times at most. Fine for one that is not there any more. */
  failed(template: Template, zygote: Zygote, why: string): Promise<void>;
  /** Made now where there is none. In turn with all else that is made. */
  make(template: Template): Promise<void>;
  close(): Promise<void>;
}
