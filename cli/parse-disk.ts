/** `--disk name,size=2G,backend=vhost-user`, or `name,from=<file>` */
import { filePath } from './file-path.ts';
import { parseMiB } from './parse-size.ts';
import { UsageError } from './verb.ts';

export interface DiskWish { readonly name: string; readonly sizeMiB?: number; readonly from?: string; readonly backend?: 'vmm' | 'vhost-user' }

export function parseDisk(text: string, cwd: string): DiskWish {
  const [name = '', ...settings] = text.split(',');
  const wish: { sizeMiB?: number; from?: string; backend?: 'vmm' | 'vhost-user' } = {};
  const given = new Set<string>();
  for (const setting of settings) {
    const [key = '', ...rest] = setting.split('=');
    const value = rest.join('=');
    if (given.has(key)) throw new UsageError(`--disk gives ${key} twice in '${text}'`);
    given.add(key);
    if (key === 'size') wish.sizeMiB = parseMiB('--disk size', value);
    else if (key === 'from') wish.from = filePath('--disk from', value, cwd);
    else if (key === 'backend' && (value === 'vmm' || value === 'vhost-user')) wish.backend = value;
    else throw new UsageError(`--disk does not know '${setting}'`, 'write it as name,size=2G or name,size=2G,backend=vhost-user');
  }
  if (name === '' || (wish.sizeMiB === undefined) === (wish.from === undefined)) throw new UsageError(`--disk wants a name and a size, or a file it begins with, not '${text}'`, 'write it as name,size=2G or name,from=data.raw');
  return { name, ...wish };
}
