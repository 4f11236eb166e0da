/** A guest that breaks the protocol loses its line; nothing else of it is touched. */
import { StrataError } from '#base';

/** @param what 'a frame of type 9', in plain words; never the guest's own text. */
export function protocolViolation(what: string): StrataError {
  return new StrataError(`the guest broke the protocol: ${what}`, { code: 'agent.protocol', kind: 'unavailable', advice: 'the line is opened again; if it happens often, look at `strata machine logs` or restart the machine' });
}
