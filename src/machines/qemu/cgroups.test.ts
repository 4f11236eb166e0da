/** Control groups: what is found, what is written, and that nothing stays. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Instance } from '#base';
import { findCgroupMounts, limitFiles, makeCgroups, removeCgroups } from '../vmm/cgroups.ts';

const instance: Instance = { name: 'qcg', stateDir: '/nonexistent', runDir: '/nonexistent', cacheDir: '/nonexistent', subnet: 213 };
const limits = { memoryBytes: 300 * 1024 * 1024, processes: 256 };

test('[Q13] v1, v2 and both at once are found in the kernel\'s list of mounts', () => {
  const hybrid = '35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n41 31 0:38 / /sys/fs/cgroup/unified rw shared:7 - cgroup2 cgroup2 rw\n';
  deepEqual(findCgroupMounts(hybrid), [{ path: '/sys/fs/cgroup/memory', controllers: ['memory'] }, { path: '/sys/fs/cgroup/pids', controllers: ['pids'] }, { path: '/sys/fs/cgroup/unified', controllers: 'v2' }]);
  deepEqual(findCgroupMounts('30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n'), [{ path: '/sys/fs/cgroup', controllers: 'v2' }]);
  deepEqual(findCgroupMounts(''), []);
  deepEqual(limitFiles({ path: '/x', controllers: 'v2' }, limits), [['memory.max', '314572800'], ['memory.swap.max', '0'], ['pids.max', '256']]);
  deepEqual(limitFiles({ path: '/x', controllers: ['memory'] }, limits), [['memory.limit_in_bytes', '314572800']]);
});

test('[Q13] limits are set where this host lets us; removal leaves nothing, twice the same as once', async () => {
  const made = await makeCgroups(instance, 'mone', limits);
  for (const folder of made) {
    const path = join(folder, 'memory.limit_in_bytes');
    if (existsSync(path)) equal(Number(await readFile(path, 'utf8')), limits.memoryBytes);
  }
  await makeCgroups(instance, 'mtwo', limits);
  await removeCgroups(instance, 'mone');
  await removeCgroups(instance, 'mone');
  await removeCgroups(instance, 'mtwo');
  for (const folder of made) ok(!existsSync(folder) && !existsSync(join(folder, '..')));
});
