/**
 * Makes sure that node_modules is what package-lock.json says, and names the Node that lies in it and runs. Plain
 * JavaScript, because the system's own Node (18, as Debian 12 has it, or newer) runs it before the locked one is there. The launcher
 * `strata` calls it as a program, tools/ import it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the project, without a slash at its end. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

/** As package.json says under `engines`; what runs before the locked Node keeps to it. */
const oldestNode = 18;

/** The locked Node of this processor, or undefined where it is not installed. */
export function lockedNode() {
  return [`node-linux-${process.arch}`].map((name) => join(root, 'node_modules', name, 'bin/node')).find((path) => existsSync(path));
}

/** Installs with `npm ci` where something is missing or of another version; ends the program where that fails. */
export function installNodeModules() {
  if (Number(process.versions.node.split('.')[0]) < oldestNode) stop(`the Node here is ${process.versions.node}; ${oldestNode} or newer is needed to fetch the locked one: apt-get install nodejs npm`);
  const why = whatIsStale();
  if (why !== undefined) {
    process.stderr.write(`strata: installing the locked Node and libraries of package-lock.json, 370 MB on disk (npm ci: ${why})\n`);
    const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] });
    if (error !== undefined || status !== 0) stop(error === undefined ? 'npm ci failed (its own words stand above); without a network npm packages cannot be fetched' : `npm could not be started: ${error.message}; install it with: apt-get install npm`);
  }
  const node = lockedNode();
  if (node === undefined) stop(`there is no locked Node for ${process.arch}; x64 and arm64 are supported`);
  installLibatomic(node);
  return node;
}

/** The locked Node is linked with libatomic, which a small Debian system lacks. */
function installLibatomic(node) {
  const version = () => spawnSync(node, ['--version'], { encoding: 'utf8' });
  const first = version();
  if (first.status === 0) return;
  if (!/libatomic/.test(first.stderr ?? '')) stop(`the locked Node does not run: ${(first.error?.message ?? first.stderr ?? '').trim()}`);
  process.stderr.write('strata: installing the Debian package libatomic1, which the locked Node needs\n');
  const apt = (...args) => spawnSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
  const install = () => apt('install', '--yes', '--no-install-recommends', 'libatomic1');
  let last = install();
  if (last.status !== 0) { apt('update'); last = install(); }
  if (version().status !== 0) stop(`libatomic1 could not be installed: ${(last.error?.message ?? last.stderr ?? '').trim()}\nas root: apt-get install libatomic1`);
}

/** The first difference between the lock file and what npm says it installed. */
function whatIsStale() {
  const installed = readJson('node_modules/.package-lock.json')?.packages;
  if (installed === undefined) return 'node_modules is missing';
  const wanted = Object.entries(readJson('package-lock.json')?.packages ?? {}).filter(([path]) => path !== '');
  for (const [path, { version, integrity, optional }] of wanted) {
    const there = installed[path];
    if (there === undefined ? optional !== true : there.version !== version || there.integrity !== integrity) return `${path} is ${there === undefined ? 'missing' : `of version ${there.version}, not ${version}`}`;
  }
  return lockedNode() === undefined ? 'the locked Node is missing' : undefined;
}

function readJson(path) {
  const file = join(root, path);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

function stop(why) {
  process.stderr.write(`strata: ${why}\n`);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) installNodeModules();
