/**
 * How many paused machines of which shape are kept: from what was started of late, from the host's free memory and from how
 * hard it is pressed for it. What is not made has its reason as data. Pure.
 */
export interface KeptMember { readonly id: string; readonly heldBytes: number }

export interface ShapeSeen {
  readonly key: string;
  /** When machines of it were started, the latest last. */
  readonly startedAt: readonly number[];
  /** Paused and ready, the oldest first. */
  readonly ready: readonly KeptMember[];
  /** What one more is expected to hold. */
  readonly memberBytes: number;
  /** Why none can be made now; empty where one can. */
  readonly obstacle: string;
  /** Not before this, after one could not be made. */
  readonly retryAt: number;
  readonly failure: string;
}

export interface PoolSeen {
  readonly shapes: readonly ShapeSeen[];
  readonly now: number;
  readonly availableBytes: number;
  readonly totalBytes: number;
  /** Share of the last ten seconds in which something waited for memory, in percent; 0 where the kernel does not say. */
  readonly stalledPercent: number;
  /** When the host was last pressed for memory; undefined where it never was. */
  readonly pressedAt: number | undefined;
  /** Machines are being started, or were until a moment ago. */
  readonly startsUnderWay: boolean;
}

export interface PoolLimits {
  /** At most so many of one shape. */
  readonly perShape: number;
  /** Share of the memory that would be free without them. */
  readonly share: number;
}

export interface PoolPlan {
  readonly end: readonly { readonly id: string; readonly why: string }[];
  /** Shape of the one to be made now. */
  readonly make: string | undefined;
  /** Of each shape: how many are wanted, and why there are fewer. */
  readonly shapes: readonly { readonly key: string; readonly size: number; readonly why: string }[];
  readonly pressed: boolean;
}

export const usualPoolLimits: PoolLimits = { perShape: 2, share: 0.1 };
/** What was started longer ago is not expected again. */
export const expectedMs = 30 * 60_000;
/** The same limit as that of templates: below it memory is worth more than a quick start. */
const pressedShare = 1 / 12;
const pressedPercent = 10;
/** After that nothing is made for a while, or what was given back would be taken again at once. */
const calmMs = 60_000;

export function planPool(seen: PoolSeen, limits: PoolLimits): PoolPlan {
  const { now, availableBytes } = seen;
  const pressed = availableBytes < seen.totalBytes * pressedShare || seen.stalledPercent >= pressedPercent;
  const end: { id: string; why: string }[] = [];
  const shapes: { key: string; size: number; why: string; couldBe: boolean }[] = [];
  let make: string | undefined;
  const held = sum(seen.shapes.flatMap(({ ready }) => ready));
  let left = (availableBytes + held) * limits.share;
  for (const shape of seen.shapes.toSorted((one, other) => (other.startedAt.at(-1) ?? 0) - (one.startedAt.at(-1) ?? 0))) {
    const size = Math.min(limits.perShape, shape.startedAt.filter((at) => now - at < expectedMs).length);
    const kept: KeptMember[] = [];
    for (const member of shape.ready.toReversed()) {
      const why = pressed ? 'the host has little free memory' : kept.length >= size ? 'no machine like it was started of late' : member.heldBytes > left ? 'pooled machines have used up their share of memory' : '';
      if (why !== '') { end.push({ id: member.id, why }); continue; }
      kept.push(member);
      left -= member.heldBytes;
    }
    const why = kept.length >= size ? '' : obstacleOf(shape, { ...seen, pressed, left });
    const couldBe = kept.length < size && why === '';
    if (couldBe && make === undefined) {
      make = shape.key;
      left -= shape.memberBytes;
    }
    shapes.push({ key: shape.key, size, why, couldBe });
  }
  const turn = (key: string): string => (end.length > 0 ? 'others are ended first' : key === make ? 'one is being made' : 'one of another shape is being made');
  return { end, make: end.length === 0 ? make : undefined, shapes: shapes.map(({ key, size, why, couldBe }) => ({ key, size, why: couldBe ? turn(key) : why })), pressed };
}

function obstacleOf(shape: ShapeSeen, { now, pressed, pressedAt, startsUnderWay, left }: Pick<PoolSeen, 'now' | 'pressedAt' | 'startsUnderWay'> & { readonly pressed: boolean; readonly left: number }): string {
  if (pressed) return 'the host has little free memory';
  if (pressedAt !== undefined && now - pressedAt < calmMs) return 'the host had little free memory a moment ago';
  if (shape.obstacle !== '') return shape.obstacle;
  if (shape.memberBytes > left) return 'pooled machines have used up their share of memory';
  if (now < shape.retryAt) return `the last one could not be made: ${shape.failure}`;
  return startsUnderWay ? 'machines are being started' : '';
}

const sum = (members: readonly KeptMember[]): number => members.reduce((total, one) => total + one.heldBytes, 0);
