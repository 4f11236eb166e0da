/**
 * The agent as one static executable, the guest's /init: TypeScript without its types, compiled to bytecode by
 * Debian 13's qjsc, linked with libquickjs.a, our system-call module and main() against Debian 13's libc. Host
 * tools are a C compiler for the target alone; qjsc runs with its own libc, whatever the host's is.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostArchitecture, runProcess, StrataError, type Architecture } from '#base';

/** Unpacked Debian packages: `target` is the sysroot of the guest's architecture, `host` holds qjsc and its libc. */
export interface AgentRoots { readonly target: string; readonly host: string }

const guestFolder = fileURLToPath(new URL('../../../guest', import.meta.url));

/** Every source file of the agent with its text, sorted by path; the content key depends on them. */
export async function agentSources(): Promise<readonly (readonly [path: string, text: string])[]> {
  const names = [
    ...await listSources('protocol', '.ts'),
    ...await listSources('agent', '.ts'),
    ...await listSources('agent/system', '.c'),
    ...await listSources('agent/system', '.h'),
  ];
  return Promise.all(names.sort().map(async (name) => [name, await readFile(join(guestFolder, name), 'utf8')] as const));
}

async function listSources(folder: string, ending: string): Promise<string[]> {
  const names = await readdir(join(guestFolder, folder));
  return names.filter((name) => name.endsWith(ending) && !name.endsWith('.d.ts') && !name.endsWith('.test.ts')).map((name) => `${folder}/${name}`);
}

/** @returns the path of the static executable in `workDir`. @throws StrataError `guestOs.compile` */
export async function buildAgent(architecture: Architecture, roots: AgentRoots, workDir: string): Promise<string> {
  for (const [path, text] of await agentSources()) {
    const place = join(workDir, path);
    await mkdir(dirname(place), { recursive: true });
    await writeFile(place, path.endsWith('.ts') ? withoutTypes(path, text) : text);
  }
  try {
    await compileBytecode(roots.host, workDir);
    return await link(architecture, roots.target, workDir);
  } catch (cause) {
    throw new StrataError(`the guest's agent cannot be compiled for ${architecture}: ${(cause as Error).message}`, { code: 'guestOs.compile', kind: 'internal', cause, advice: 'run `strata doctor` to see whether a compiler is missing' });
  }
}

/** Types become nothing; what is imported for its types alone is no module at run time. */
function withoutTypes(path: string, text: string): string {
  try {
    return stripTypeScriptTypes(text, { mode: 'strip' });
  } catch (cause) {
    throw new StrataError(`guest/${path} is not TypeScript that Node can strip`, { code: 'guestOs.compile', kind: 'internal', cause });
  }
}

const loaders: Record<Architecture, readonly [loader: string, triplet: string]> = {
  x86_64: ['lib64/ld-linux-x86-64.so.2', 'x86_64-linux-gnu'],
  aarch64: ['lib/ld-linux-aarch64.so.1', 'aarch64-linux-gnu'],
};

async function compileBytecode(host: string, workDir: string): Promise<void> {
  const [loader, triplet] = loaders[hostArchitecture];
  const libraries = join(host, 'usr/lib', triplet);
  // Run in the folder of the sources, so that no path of this host gets into the bytecode.
  await runProcess([join(host, loader), '--library-path', libraries, join(host, 'usr/bin/qjsc'),
    '-c', '-s', '-m', '-M', 'sys', '-N', 'agent_main', '-o', 'bytecode.c', 'agent/main.ts'], { cwd: workDir, timeoutMs: 120_000 });
  await writeFile(join(workDir, 'modules.c'), moduleTable(await readFile(join(workDir, 'bytecode.c'), 'utf8')));
}

/** The table main.c walks: qjsc writes dependencies first and the main module last. */
function moduleTable(bytecode: string): string {
  const names = [...bytecode.matchAll(/^const uint8_t (\w+)\[/gm)].map((match) => match[1] as string);
  return [
    '#include "bytecode.c"', 'struct module { const uint8_t *bytes; uint32_t size; };',
    `const struct module agent_modules[] = { ${names.map((name) => `{ ${name}, sizeof ${name} }`).join(', ')} };`,
    `const int agent_module_count = ${names.length};`, '',
  ].join('\n');
}

async function link(architecture: Architecture, sysroot: string, workDir: string): Promise<string> {
  const triplet = loaders[architecture][1];
  const libraries = join(sysroot, 'usr/lib', triplet);
  const include = join(sysroot, 'usr/include');
  // -B and -L come before the compiler's own folders, so startup files and libc are the sysroot's, not this host's.
  await runProcess([`${triplet}-gcc`, `--sysroot=${sysroot}`, '-B', `${libraries}/`, '-L', libraries, '-L', join(libraries, 'quickjs'),
    '-isystem', join(include, 'quickjs'), '-isystem', join(include, triplet), '-isystem', include,
    '-std=gnu11', '-O2', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror', '-static', '-s', '-Wl,--build-id=none', '-Wl,--gc-sections',
    '-o', 'init', ...await listSources('agent/system', '.c'), 'modules.c', '-lquickjs', '-lm', '-lpthread'], { cwd: workDir, timeoutMs: 300_000 });
  return join(workDir, 'init');
}
