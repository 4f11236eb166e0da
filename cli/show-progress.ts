/**
 * An operation as it goes, on stderr: a list that repaints itself on a terminal, a plain line for each
 * change elsewhere. Steps show how long they took.
 */
import type { Operation, Step } from '#client';
import { inert } from './explain.ts';

export interface Progress {
  show(operation: Operation): void;
  /** Leaves the last state on the screen and gives the cursor back. */
  end(): void;
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const repaintMs = 100;

/** The right one for the stream; `quiet` shows nothing. */
export function openProgress(err: NodeJS.WriteStream, options: { readonly quiet: boolean; readonly colour: boolean }): Progress {
  if (options.quiet) return { show: () => {}, end: () => {} };
  return err.isTTY ? liveProgress(err, options.colour) : plainProgress(err);
}

/** `1.2 s`, `3 min 4 s`; empty for a step that has not begun. */
export function duration(step: { readonly startedAt: string | null; readonly finishedAt: string | null }, now: number): string {
  if (step.startedAt === null) return '';
  const seconds = Math.max(0, ((step.finishedAt === null ? now : Date.parse(step.finishedAt)) - Date.parse(step.startedAt)) / 1000);
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** One line for each change of a step: time, state, step, duration. */
function plainProgress(err: NodeJS.WriteStream): Progress {
  const seen = new Map<string, string>();
  const said = new Set<string>();
  return {
    show: (operation) => {
      for (const warning of operation.warnings) if (!said.has(warning)) { said.add(warning); err.write(`${clock()} warning: ${inert(warning)}\n`); }
      operation.steps.forEach((step, at) => {
        const key = `${at} ${step.kind} ${step.subject}`;
        const before = seen.get(key);
        const state = `${step.status} ${step.note}`;
        if (before === state || step.status === 'waiting') return;
        seen.set(key, state);
        err.write(`${clock()} ${lineOf(step, noteOf(step, operation))}\n`);
      });
    },
    end: () => {},
  };
}

const clock = (): string => new Date().toISOString().slice(11, 19);

/** Why the only step failed is why the operation did, which is told in full at the end. */
function noteOf(step: Step, operation: Operation): string {
  return step.status === 'failed' && operation.steps.length === 1 && (operation.error === null || operation.error.detail.startsWith(step.note)) ? '' : step.note;
}

function lineOf(step: Step, noted: string): string {
  const took = step.finishedAt === null ? '' : ` (${duration(step, Date.now())})`;
  // One line a change, also where the note is the output of a probe; the error in full follows at the end.
  const [first, ...more] = inert(noted).trim().split('\n');
  const note = noted === '' ? '' : `: ${first?.trim()}${more.length > 0 ? ' …' : ''}`;
  return `${step.status.padEnd(7)} ${inert(step.summary)}${took}${note}`;
}

function liveProgress(err: NodeJS.WriteStream, colour: boolean): Progress {
  let painted = 0;
  let turn = 0;
  let latest: Operation | undefined;
  const paint = () => {
    if (latest === undefined) return;
    const operation = latest;
    const rows = visibleSteps(operation, (err.rows ?? 24) - 3).map((step) => liveLine(step, noteOf(step, operation), frames[turn % frames.length] as string, colour, err.columns ?? 80));
    const text = [headline(latest), ...latest.warnings.map((warning) => `  ! ${clip(inert(warning), roomForWarning(err))}`), ...rows];
    // Back to the first line of the last painting, and away with everything below.
    err.write(`\r${painted > 0 ? `\u001b[${painted}A` : ''}\u001b[J${text.join('\n')}\n`);
    painted = text.length;
  };
  const restore = () => err.write('\u001b[?25h');
  err.write('\u001b[?25l');
  process.once('exit', restore);
  const timer = setInterval(() => { turn += 1; paint(); }, repaintMs);
  return {
    show: (operation) => { latest = operation; paint(); },
    end: () => {
      clearInterval(timer);
      paint();
      // A list of one line each has no room for the words that matter most.
      for (const warning of latest?.warnings ?? []) if (isClipped(warning, err)) err.write(`warning: ${inert(warning)}\n`);
      restore();
      process.off('exit', restore);
    },
  };
}

function headline(operation: Operation): string {
  const done = operation.steps.filter((step) => step.status === 'done' || step.status === 'skipped').length;
  return `${operation.kind.replace('.', ' ')} ${inert(operation.subject)}  ${done}/${operation.steps.length}  ${operation.status}`;
}

/** What fits: failed and running ones always, then the latest done, in their own order. */
export function visibleSteps(operation: Operation, rows: number): readonly Step[] {
  if (operation.steps.length <= rows) return operation.steps;
  const rank = { failed: 0, running: 1, undone: 2, done: 3, waiting: 4, skipped: 5 } as const;
  const chosen = operation.steps.map((step, at) => ({ step, at }))
    .sort((a, b) => rank[a.step.status] - rank[b.step.status] || (a.step.status === 'waiting' ? a.at - b.at : b.at - a.at)).slice(0, Math.max(1, rows));
  return chosen.sort((a, b) => a.at - b.at).map(({ step }) => step);
}

function liveLine(step: Step, noted: string, spinner: string, colour: boolean, columns: number): string {
  const mark = { waiting: '·', running: spinner, done: '✓', skipped: '-', failed: '✗', undone: '↶' }[step.status];
  const shade = { waiting: 90, running: 36, done: 32, skipped: 90, failed: 31, undone: 33 }[step.status];
  const took = duration(step, Date.now());
  const note = noted === '' ? '' : `  ${inert(noted)}`;
  const text = clip(`${inert(step.summary)}${note}`, columns - took.length - 7);
  return `  ${colour ? `\u001b[${shade}m${mark}\u001b[0m` : mark} ${text.padEnd(Math.max(0, columns - took.length - 7))} ${took}`;
}

const roomForWarning = (err: NodeJS.WriteStream): number => (err.columns ?? 80) - 4;
const isClipped = (warning: string, err: NodeJS.WriteStream): boolean => inert(warning).length > roomForWarning(err);

const clip = (text: string, width: number): string => {
  const line = text.replace(/\n/g, ' ');
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
};
