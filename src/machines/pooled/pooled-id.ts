/** The id of a pooled machine as long as it is nobody's; afterwards it names only its control group and its claim of a uid. */
import type { Dice } from '#base';

export const newPooledId = (dice: Dice): string => `mp${Buffer.from(dice.bytes(6)).toString('hex')}`;
export const isPooledId = (id: string): boolean => /^mp[0-9a-f]{12}$/.test(id);
