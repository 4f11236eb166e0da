/** Resolves `user`, `uid`, `user:group` against an image's /etc/passwd and /etc/group, as Docker does. Pure. */
export interface Identity { readonly uid: number; readonly gid: number; readonly groups: readonly number[]; readonly home: string }

export function resolveUser(user: string, extraGroups: readonly string[], passwd: string, group: string): Identity {
  const [name = '', groupName] = user === '' ? ['0'] : user.split(':');
  const users = passwd.split('\n').map((line) => line.split(':'));
  const groups = group.split('\n').map((line) => line.split(':'));
  const entry = users.find((one) => one[0] === name) ?? (isNumber(name) ? users.find((one) => one[2] === name) : undefined);
  if (entry === undefined && !isNumber(name)) throw new Error(`the image has no user ${name}`);
  const uid = entry === undefined ? Number(name) : Number(entry[2]);
  const gid = groupName === undefined ? Number(entry?.[3] ?? 0) : groupId(groupName, groups);
  const member = entry === undefined || groupName !== undefined ? [] : groups.filter((one) => (one[3] ?? '').split(',').includes(entry[0] as string)).map((one) => Number(one[2]));
  return { uid, gid, groups: [...new Set([...member, ...extraGroups.map((one) => groupId(one, groups))])], home: entry?.[5] ?? '/' };
}

function groupId(name: string, groups: readonly string[][]): number {
  const entry = groups.find((one) => one[0] === name);
  if (entry !== undefined) return Number(entry[2]);
  if (!isNumber(name)) throw new Error(`the image has no group ${name}`);
  return Number(name);
}

function isNumber(text: string): boolean {
  return /^\d{1,10}$/.test(text);
}
