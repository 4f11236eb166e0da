/** Images from Debian packages: the guest book's four, built and run. */
import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, openSync, readSync, closeSync, readFileSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hostArchitecture, instanceFromEnvironment, runProcess, type Architecture } from '#base';
import type { DebianRecipe, Image } from '../image.ts';
import { listSquashfs, openTestImages, readInSquashfs, type TestImages } from '../testing/test-images.ts';

const foreign: Architecture = hostArchitecture === 'x86_64' ? 'aarch64' : 'x86_64';
let env: TestImages;
let context: string;

before(async () => {
  // Packages and the base are shared with other runs: they are named by their content.
  env = await openTestImages({ cacheDir: instanceFromEnvironment(process.env).cacheDir });
  context = mkdtempSync(join(env.folder, 'context-'));
  mkdirSync(join(context, 'site/sub'), { recursive: true });
  writeFileSync(join(context, 'site/index.html'), 'hello');
  writeFileSync(join(context, 'site/sub/run.sh'), '#!/bin/sh\n', { mode: 0o750 });
  symlinkSync('../index.html', join(context, 'site/sub/link'));
  writeFileSync(join(context, 'app.py'), 'print("from the context")\n');
});
after(() => env.close());

const build = (recipe: Partial<DebianRecipe>, reference: string, architecture = hostArchitecture): Promise<Image> => env.images.buildDebian({ suite: 'bookworm', packages: [], copy: [], ...recipe }, { contextDir: context, architecture, reference });

/** Runs a command in the image, apart from the host. */
async function run(image: Image, argv: readonly string[]): Promise<string> {
  const root = join(env.folder, `root-${image.digest.slice(7, 19)}`);
  if (!existsSync(root)) await runProcess(['unsquashfs', '-quiet', '-no-progress', '-dest', root, env.images.squashfsPath(image)], { timeoutMs: 120_000 });
  const { stdout, stderr } = await runProcess(['bwrap', '--die-with-parent', '--unshare-pid', '--unshare-ipc', '--unshare-net', '--unshare-uts', '--cap-add', 'CAP_CHOWN', '--bind', root, '/', '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/run', '--tmpfs', '/tmp', '--clearenv', '--setenv', 'PATH', '/usr/sbin:/usr/bin:/sbin:/bin', '--', ...argv]);
  return stdout + stderr;
}

test('[I20] packages of the host\'s architecture run, their scripts have run, the context lies over them', async (t) => {
  const started = Date.now();
  const web = await build({ packages: ['nginx-light'], copy: [{ from: 'site', to: '/srv/www' }, { from: 'app.py', to: '/etc/nginx/', mode: 0o600 }], command: ['nginx'], exposedPorts: ['80/tcp'], stopSignal: 'SIGQUIT' }, 'test-web');
  t.diagnostic(`nginx-light: ${Date.now() - started} ms, ${web.size} bytes`);
  deepEqual([web.note, web.origin, web.config.command, web.config.exposedPorts, web.config.stopSignal], ['', 'debian', ['nginx'], ['80/tcp'], 'SIGQUIT']);
  match(await run(web, ['nginx', '-t']), /syntax is ok/);
  const list = (await listSquashfs(env.images.squashfsPath(web))).join('\n');
  match(list, /-rw-r--r-- 0\/0 5 squashfs-root\/srv\/www\/index.html/);
  match(list, /-rwxr-xr-x 0\/0 10 squashfs-root\/srv\/www\/sub\/run.sh/);
  match(list, /squashfs-root\/srv\/www\/sub\/link -> \.\.\/index.html/);
  match(list, /-rw------- 0\/0 \d+ squashfs-root\/etc\/nginx\/app.py/);
  match(list, /squashfs-root\/bin -> usr\/bin/);
  for (const left of ['usr/share/man/man', 'usr/share/locale/', 'var/lib/apt/lists/', 'policy-rc.d', 'var/log/dpkg.log', 'usr/share/doc/nginx/README']) equal(list.includes(left), false, left);
  match(await readInSquashfs(env.images.squashfsPath(web), 'etc/passwd'), /^www-data:x:33:/m);
});

test('[I20] python3, redis-server and perl run', async (t) => {
  const started = Date.now();
  const api = await build({ packages: ['python3'], copy: [{ from: 'app.py', to: '/app/api.py' }], command: ['python3', '/app/api.py'] }, 'test-api');
  t.diagnostic(`python3: ${Date.now() - started} ms, ${api.size} bytes`);
  equal(await run(api, ['python3', '/app/api.py']), 'from the context\n');
  equal(await run(api, ['python3', '-c', 'import ssl, json, socketserver; print(1)']), '1\n');
  equal(await run(api, ['perl', '-e', 'print 7 * 6']), '42');
  const again = Date.now();
  const db = await build({ packages: ['redis-server'], command: ['redis-server'] }, 'test-db');
  t.diagnostic(`redis-server: ${Date.now() - again} ms, ${db.size} bytes`);
  match(await run(db, ['redis-server', '--version']), /Redis server v=7/);
  match(await readInSquashfs(env.images.squashfsPath(db), 'etc/passwd'), /^redis:/m);
});

test('[I21] packages of a foreign architecture are unpacked only, and that is said', async (t) => {
  const started = Date.now();
  const seal = await build({ packages: ['perl-base'], command: ['perl'] }, 'test-seal', foreign);
  t.diagnostic(`perl-base for ${foreign}: ${Date.now() - started} ms, ${seal.size} bytes`);
  equal(seal.note, 'unpacked only');
  const path = env.images.squashfsPath(seal);
  const root = join(env.folder, 'foreign');
  await runProcess(['unsquashfs', '-quiet', '-no-progress', '-dest', root, path, 'usr/bin/perl', 'etc', 'bin', 'usr/bin/dash', 'usr/bin/sh']);
  const head = Buffer.alloc(20);
  const fd = openSync(join(root, 'usr/bin/perl'), 'r');
  readSync(fd, head, 0, 20, 0);
  closeSync(fd);
  equal(head.readUInt16LE(18), foreign === 'aarch64' ? 183 : 62);
  match(readFileSync(join(root, 'etc/passwd'), 'utf8'), /^root:x:0:0:root:\/root:\/bin\/bash\n/);
  match(readFileSync(join(root, 'etc/group'), 'utf8'), /^www-data:x:33:/m);
  equal(lstatSync(join(root, 'bin')).isSymbolicLink(), true);
  rmSync(root, { recursive: true });
});

test('[I22] where only a file of the context changed, no package is installed again; of the sets of packages that were installed the last few are kept', async () => {
  const recipe = { packages: ['perl-base'], copy: [{ from: 'app.py', to: '/app.py' }] };
  const said = async (): Promise<string> => {
    const words: string[] = [];
    await env.images.buildDebian({ suite: 'bookworm', ...recipe }, { contextDir: context, architecture: hostArchitecture, reference: 'test-changed', progress: ({ what }) => words.push(what) });
    return words.join();
  };
  const installed = join(env.instance.cacheDir, 'images/installed');
  mkdirSync(installed, { recursive: true });
  for (let old = 0; old < 8; old += 1) {
    writeFileSync(join(installed, `old-${old}.tar`), '');
    utimesSync(join(installed, `old-${old}.tar`), old, old);
  }
  await said();
  const kept = readdirSync(installed);
  ok(kept.length <= 6 && !kept.includes('old-0.tar') && !kept.includes('old-1.tar'), kept.join());
  for (const name of kept.filter((one) => one.startsWith('old-'))) rmSync(join(installed, name));
  writeFileSync(join(context, 'app.py'), 'print("another")\n');
  const again = await said();
  match(again, /writing the image/);
  equal(again.includes('installing'), false, again);
  writeFileSync(join(context, 'app.py'), 'print("from the context")\n');
});

test('[I22] unchanged, it is there at once; a changed file makes another image', async (t) => {
  const recipe = { packages: ['perl-base'], copy: [{ from: 'app.py', to: '/app.py' }] };
  const first = await build(recipe, 'test-same');
  const started = performance.now();
  const second = await build(recipe, 'test-same');
  const took = performance.now() - started;
  t.diagnostic(`unchanged: ${took.toFixed(1)} ms`);
  equal(second.digest, first.digest);
  equal(took < 250, true, `${took} ms`);
  writeFileSync(join(context, 'app.py'), 'print("changed")\n');
  const third = await build(recipe, 'test-same');
  notEqual(third.digest, first.digest);
  equal((await env.images.find('test-same', hostArchitecture))?.digest, third.digest);
  equal((await env.images.find(first.digest, hostArchitecture))?.digest, first.digest, 'the image of before is still there for a rollback');
});

test('[I23] a package that does not exist is one clear error with package and suite', async () => {
  for (const name of ['no-such-package-at-all', 'Bad_Name', '--print-uris', 'nginx-light=1', 'ngin.*', 'perl-']) {
    await rejects(build({ packages: [name] }, 'test-missing'), (error: Error & { code?: string }) => error.code === 'image.packageMissing' && error.message.includes(`'${name}'`) && error.message.includes('bookworm'), name);
  }
});

test('[I24] nothing outside of the build context is copied', async () => {
  symlinkSync('/etc', join(context, 'etc'));
  symlinkSync('/etc/passwd', join(context, 'passwd'));
  mkdirSync(join(context, 'folder'));
  symlinkSync('../../../../etc/passwd', join(context, 'folder/out'));
  await runProcess(['mkfifo', join(context, 'pipe')]);
  const cases: [string, string][] = [
    ['../secret', '/x'], ['/etc/passwd', '/x'], ['a/../../x', '/x'], ['etc', '/x'], ['etc/passwd', '/x'], ['passwd', '/x'], ['folder', '/x'], ['pipe', '/x'], ['missing', '/x'],
    ['app.py', 'relative'], ['app.py', '/../x'], ['app.py', '/'], ['app.py\0', '/x'],
  ];
  for (const [from, to] of cases) await rejects(build({ copy: [{ from, to }] }, 'test-copy', foreign), { code: 'image.badCopy', kind: 'invalid' }, `${from} → ${to}`);
});

test('[I12] a build that is cancelled leaves no work behind', async () => {
  const work = join(env.instance.cacheDir, 'images/work');
  const mine = () => readdirSync(work).filter((name) => name.includes(`.${process.pid}-`));
  await rejects(env.images.buildDebian({ suite: 'bookworm', packages: ['perl'], copy: [] }, { contextDir: context, architecture: hostArchitecture, reference: 'test-cancelled', signal: AbortSignal.timeout(1500) }));
  deepEqual(mine(), []);
  equal(await env.images.find('test-cancelled', hostArchitecture), undefined);
});
