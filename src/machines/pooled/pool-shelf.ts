/** What the pool keeps of one shape of one engine, and what an engine tells of what it puts there. */
import type { EngineName } from '../machine.ts';
import type { PooledShapeView } from '../engine.ts';

/** A paused machine that is nobody's; the engine that made it knows the rest. */
export interface PooledMember {
  readonly id: string;
  /** What the host has back when it ends. */
  readonly heldBytes: number;
  readonly madeMs: number;
  /** Its VMM's end while it is in the pool. */
  readonly watch: { readonly promise: Promise<unknown>; stop(): void };
}

export type ShapeFacts = Pick<PooledShapeView, 'key' | 'architecture' | 'accelerator' | 'processors' | 'memoryMiB' | 'scratchMiB' | 'card'>;

/** Whether one can be made now. */
export type Prospect<Member> = { readonly why: string } | { readonly expectedBytes: number; make(signal: AbortSignal): Promise<Member> };

/** An engine, as the pool sees it. */
export interface PoolSource<Shape, Member extends PooledMember> {
  readonly engine: EngineName;
  factsOf(shape: Shape): ShapeFacts;
  prospectOf(shape: Shape): Promise<Prospect<Member>>;
  /** Ends one that nobody took, and removes its traces. */
  end(member: Member): Promise<void>;
}

export interface Shelf<Member extends PooledMember = PooledMember> {
  readonly engine: EngineName;
  readonly facts: ShapeFacts;
  /** Ends when its engine has no part in the pool any more. */
  readonly closed: AbortSignal;
  /** When machines like it were started: the latest few. */
  readonly startedAt: number[];
  /** The oldest first. */
  readonly ready: Member[];
  hits: number;
  misses: number;
  refills: number;
  refillMs: number | null;
  failures: number;
  failure: string;
  retryAt: number;
  size: number;
  why: string;
  prospect(): Promise<Prospect<Member>>;
  end(member: Member): Promise<void>;
}

export function newShelf<Shape, Member extends PooledMember>(source: PoolSource<Shape, Member>, shape: Shape, closed: AbortSignal): Shelf<Member> {
  return {
    engine: source.engine, facts: source.factsOf(shape), closed, startedAt: [], ready: [], hits: 0, misses: 0, refills: 0, refillMs: null, failures: 0, failure: '', retryAt: 0, size: 0, why: '',
    prospect: () => source.prospectOf(shape),
    end: (member) => source.end(member),
  };
}

export function shelfView({ engine, facts, ready, size, hits, misses, refills, refillMs, why }: Shelf): PooledShapeView {
  return { ...facts, engine, size, ready: ready.length, heldBytes: ready.reduce((total, one) => total + one.heldBytes, 0), hits, misses, refills, refillMs, why: ready.length < size ? why : '' };
}
