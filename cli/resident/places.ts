/** Where resident and client of this installation are; `strata`, the launcher, names the same two. */
import { fileURLToPath } from 'node:url';

const cache = new URL('../../node_modules/.cache/strata/', import.meta.url);

export const residentSocket: string = fileURLToPath(new URL('resident.sock', cache));
export const residentClient: string = fileURLToPath(new URL(`resident-client-${process.arch}`, cache));
