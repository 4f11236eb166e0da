/** A pooled machine of QEMU: a clone that stands still, nobody's. */
import type { PooledMember } from '../../pooled/pool-shelf.ts';
import type { Clone } from '../clone.ts';
import type { MachinePlaces } from '../machine-places.ts';

export interface PooledMachine extends Clone, PooledMember { readonly places: MachinePlaces }
