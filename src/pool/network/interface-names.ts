/**
 * Names this instance may use on the host: its taps and its nftables tables. All taps of one instance share a
 * prefix, so that one rule covers those made later too.
 */
import { StrataError, type Instance } from '#base';

/** Every tap of the instance starts with this; at most 8 bytes. */
export const tapPrefix = (instance: Instance): string => `${instance.name.slice(0, 6)}-t`;

/** Name of the tables in families inet and arp. */
export const tableName = (instance: Instance): string => `strata_${instance.name.replaceAll(/[^a-z0-9]/g, '_')}`;

/**
 * Interface name of a machine's tap: the prefix and the last 7 characters of its id, at most 15 bytes.
 * Two ids may share those (35 bits); the tap's alias holds the whole id and `ensureTap` compares it.
 * @throws StrataError `network.badMachineId`
 */
export function tapName(instance: Instance, machineId: string): string {
  if (!/^[a-z0-9]{1,32}$/.test(machineId)) {
    throw new StrataError(`'${machineId}' is not a machine id`, { code: 'network.badMachineId', kind: 'invalid' });
  }
  return tapPrefix(instance) + machineId.slice(-7);
}
