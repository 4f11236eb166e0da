/** The real command as a process, against a served fake backend: streams, exit codes, formats. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { waitUntil } from '#base';
import { fakeMachine } from '../src/api/fake-backend.ts';
import { openTestApi, type TestApi } from '../src/api/test-api.ts';

const launcher = fileURLToPath(new URL('../strata', import.meta.url));

interface Ended { readonly code: number | null; readonly out: string; readonly err: string }
interface Lab extends TestApi {
  readonly shop: string;
  run(args: readonly string[], options?: { readonly cwd?: string; readonly input?: string; readonly openInput?: true; readonly env?: Record<string, string>; readonly program?: string; readonly signalWhen?: string; readonly signal?: NodeJS.Signals }): Promise<Ended>;
}

/** An API on an instance of its own and a folder `shop` with a Compose file. */
async function openLab(t: TestContext): Promise<Lab> {
  const api = await openTestApi(t);
  const shop = join(api.folder, 'shop');
  await mkdir(shop);
  await writeFile(join(shop, 'compose.yaml'), 'name: shop\nservices: {}\n');
  const env = { PATH: process.env['PATH'] ?? '', HOME: '/root', STRATA_RESIDENT: 'no', STRATA_INSTANCE: 'clitst', STRATA_RUN: join(api.folder, 'run'), STRATA_STATE: join(api.folder, 'state') };
  return {
    ...api, shop,
    run: (args, options = {}) => new Promise((resolve, reject) => {
      const child = spawn(options.program ?? launcher, args, { cwd: options.cwd ?? shop, env: { ...env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'], timeout: 20_000 });
      let out = '';
      let err = '';
      let signalled = false;
      const look = () => {
        if (signalled || options.signalWhen === undefined || !(out + err).includes(options.signalWhen)) return;
        signalled = true;
        child.kill(options.signal ?? 'SIGINT');
      };
      child.stdout.setEncoding('utf8').on('data', (part: string) => { out += part; look(); });
      child.stderr.setEncoding('utf8').on('data', (part: string) => { err += part; look(); });
      child.stdin.on('error', () => { /* it ended without reading */ });
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, out, err }));
      if (options.openInput !== true) child.stdin.end(options.input);
    }),
  };
}

test('[L1] up prints addresses on stdout, one a line, and all else on stderr', async (t) => {
  const { run, backend, shop, folder } = await openLab(t);
  const up = await run(['up']);
  deepEqual([up.code, up.out], [0, 'http://127.0.0.1:8080\n']);
  match(up.err, /^\d\d:\d\d:\d\d running make the machine\n/);
  match(up.err, /done {4}start the containers \(0\.0 s\)\n$/);
  deepEqual(backend.changes, ['app.up shop']);
  equal((await run(['up', 'shop'], { cwd: folder })).out, 'http://127.0.0.1:8080\n');
  equal((await run(['up', './shop', 'web', '-q'], { cwd: folder })).err, '');
  equal((await run(['-f', join(shop, 'compose.yaml'), 'up', '-q'], { cwd: '/' })).code, 0);
  match((await run(['up', '-d'])).out, /^o[a-z2-7]{10}\n$/);
  equal((await run(['up', '--dry-run'])).out, 'make the machine\nstart the containers\n');
});

test('[L2] a service that never gets healthy is exit 1, with the reason', async (t) => {
  const { run } = await openLab(t);
  const up = await run(['up', '-p', 'unhealthy']);
  deepEqual([up.code, up.out], [1, '']);
  match(up.err, /strata: web did not become healthy: connection refused\n {2}see `strata logs web`\n$/);
});

test('[L2] who reads only the beginning of what is printed, and closes it, is no failure', { timeout: 30_000 }, async () => {
  for (const args of [['machine', '--help'], ['--help'], ['completion', 'bash']]) {
    const child = spawn(launcher, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => { said += chunk.toString(); });
    const code = await new Promise((resolve) => { child.once('close', resolve); });
    deepEqual([code, said], [0, ''], args.join(' '));
  }
});

test('[L2] exec has the exit code of the command, 127 for none such, 126 for one that cannot be started, 2 for bad usage, 125 for us', async (t) => {
  const { run } = await openLab(t);
  deepEqual(await run(['exec', 'web', 'echo', '-n', '--', 'hi']), { code: 0, out: '-n -- hi\n', err: '' });
  deepEqual(await run(['exec', '-T', 'web', 'fail', '42']), { code: 42, out: '', err: 'bad luck\n' });
  equal((await run(['exec', 'web', 'nosuch'])).code, 127);
  deepEqual(await run(['exec', '-w', '/nosuch', 'web', 'homeless']), { code: 126, out: '', err: 'strata: it cannot be started in /nosuch: there is no such folder\n' });
  equal((await run(['exec', 'web'])).code, 2);
  deepEqual(await run(['exec', 'nosuch', 'echo']), { code: 2, out: '', err: 'strata: the app shop has no service nosuch\n  it has: api, web\n' });
  equal((await run(['exec', '-p', 'nosuch', 'web', 'echo'])).code, 125);
  equal((await run(['machine', 'exec', 'box', 'cat'], { input: 'through\n' })).out, 'through\n');
  equal((await run(['exec', '--index', '9', 'web', 'echo'])).code, 2);
});

test('[L3] -o json is the API\'s object; other formats', async (t) => {
  const { run, ask } = await openLab(t);
  const listed = await ask('GET', '/v1/machines');
  deepEqual(JSON.parse((await run(['machine', 'ls', '-o', 'json'])).out), listed.json);
  deepEqual(JSON.parse((await run(['machine', 'ls', '--json'])).out), listed.json);
  deepEqual(JSON.parse((await run(['machine', 'inspect', 'box', '-o', 'json'])).out), (await ask('GET', '/v1/machines/box')).json);
  // Of a change too: what the API answered, once it is done.
  const grown = await ask('POST', '/v1/machines/box/disks/data/grow', { body: { sizeMiB: 64 } });
  deepEqual(JSON.parse((await run(['disk', 'grow', 'box', 'data', '64M', '-o', 'json'])).out), grown.json);
  deepEqual(JSON.parse((await run(['machine', 'create', 'new', '--no-start', '-o', 'json'])).out), JSON.parse(JSON.stringify(fakeMachine('new', 'starting'))));
  deepEqual(JSON.parse((await run(['machine', 'create', 'box', '-o', 'json'])).out), (await ask('GET', '/v1/machines/box')).json);
  deepEqual((JSON.parse((await run(['machine', 'snapshot', 'rm', 'box', 'snap-1', 'snap-1', '-o', 'json'])).out) as { items: { name: string }[] }).items.map(({ name }) => name), ['snap-1', 'snap-1']);
  for (const [words, kind] of [['machine snapshot create box', 'machine.snapshot'], ['machine snapshot restore box snap-1', 'machine.restore'], ['machine clone box again', 'machine.clone'], ['machine fork box again', 'machine.fork'], ['image pull shop/web', 'image.pull'], ['up', 'app.up'], ['down', 'app.down']] as const) {
    const { kind: made, status } = JSON.parse((await run([...words.split(' '), '-q', '-o', 'json'])).out) as { kind: string; status: string };
    deepEqual([made, status], [kind, 'succeeded'], words);
  }
  equal((JSON.parse((await run(['up', '-d', '-o', 'json'])).out) as { status: string }).status, 'running');
  equal((await run(['machine', 'ls', '-o', 'name'])).out, 'box\n');
  match((await run(['machine', 'ls', '-o', 'yaml'])).out, /^items:\n {2}- id: mbox/);
  equal((await run(['ps', '-a', '-o', 'jsonl'])).out.trimEnd().split('\n').map((line) => (JSON.parse(line) as { name: string }).name).join(), 'shop-api-1,shop-web-1,shop-web-2');
  equal((await run(['ps', '-q', 'api'])).out, 'capi1aaaaaa\n');
  const table = (await run(['app', 'ls'])).out;
  equal(table, 'NAME  STATUS   SERVICES  ADDRESSES\nshop  running  2/2       http://127.0.0.1:8080\n');
  equal((await run(['app', 'ls', '--no-headers'])).out.split('\n').length, 2);
  match((await run(['ps', '-a'])).out, /shop-web-2 +web +exited 137 \(out of memory\)/);
});

test('[L3] machine ls is in the order of the names, and the API\'s where a program reads it', async (t) => {
  const { run, backend } = await openLab(t);
  Object.assign(backend.machines, { list: async () => ['web-10', 'box', 'web-9'].map((name) => fakeMachine(name)) });
  equal((await run(['machine', 'ls', '-o', 'name'])).out, 'box\nweb-9\nweb-10\n');
  match((await run(['machine', 'ls', '--no-headers'])).out, /^box .*\nweb-9 .*\nweb-10 .*\n$/);
  deepEqual((JSON.parse((await run(['machine', 'ls', '-o', 'json'])).out) as { items: { name: string }[] }).items.map(({ name }) => name), ['web-10', 'box', 'web-9']);
});

test('[L4] a wrong command line is exit 2 with a hint, and sends nothing', async (t) => {
  const { run, backend, folder } = await openLab(t);
  const wrong: [string[], RegExp][] = [
    [['dwon'], /unknown command 'dwon'\n  Did you mean down\?/], [['machine', 'lss'], /unknown command 'lss'\n  Did you mean ls\?/], [['ps', '--bogus'], /unknown option/], [['up', '--pull', 'maybe'], /maybe/],
    [['machine'], /Usage: strata machine/], [[], /Usage: strata/], [['machine', 'start'], /missing required argument/], [['down', '--timeout', 'soon'], /--timeout wants a whole number/],
    [['machine', 'create', 'x', '--timeout', 'abc'], /--timeout wants a whole number, not 'abc'/], [['machine', 'stop', 'box', '--timeout', '-1'], /--timeout wants a whole number, not '-1'/], [['serve', '--stop', '--pool', 'no'], /--pool wants a whole number/],
    [['logs', '-n', 'few'], /--tail wants a number/], [['machine', 'create', 'x', '-m', 'huge'], /--memory wants a size/], [['up', '--file', 'nosuch.yaml'], /there is no file/], [['up', '-f', ''], /--file wants a file, not an empty name/], [['up', '-f', '.'], /--file wants a file; .* is a folder/],
    [['disk', 'copy', 'box', 'data', ''], /a copy wants a file, not an empty name/], [['disk', 'copy', 'box', 'data', folder], /a copy wants a file; .* is a folder/], [['disk', 'copy', 'box', 'data', 'none/'], /is a folder/], [['image', 'import', ''], /which archive/],
    [['machine', 'create', 'x', '--disk', 'data,size=1G,size=2G'], /--disk gives size twice in 'data,size=1G,size=2G'/], [['machine', 'create', 'x', '--disk', 'data,from='], /--disk from wants a file/], [['disk', 'clone', 'box', 'data', 'x', '--engine', 'fake'], /auto, qemu, uml\./],
    [['completion', 'tcsh'], /bash, zsh and fish/], [['serve', '--all'], /--all belongs to --stop/],
  ];
  for (const [args, expected] of wrong) {
    const ended = await run(args);
    deepEqual([ended.code, ended.out], [2, ''], args.join(' '));
    match(ended.err, expected);
  }
  match((await run(['up'], { cwd: folder })).err, /there is no Compose file in/);
  for (const args of [['help'], ['help', 'up']]) { const help = await run(args); deepEqual([help.code, help.err], [0, '']); match(help.out, /Usage: strata/); }
  const unknown = await run(['help', 'nosuch']);
  deepEqual([unknown.code, unknown.out, unknown.err], [2, '', 'strata: unknown command \'nosuch\'\n  see `strata --help`\n']);
  match((await run(['up', 'nosuch'], { cwd: folder })).err, /there is no Compose file in .*, and nosuch is no folder with one/);
  match((await run(['machine', 'ls', '--bogus'])).err, /see `strata machine ls --help`/);
  deepEqual(backend.changes, []);
});

test('[L4] what the API refuses of an argument is said in the words of the command line', async (t) => {
  const { run, backend } = await openLab(t);
  const named = 'must be of lower-case letters, digits and hyphens, at most 63, with a letter or digit at both ends';
  const refused: [string[], string][] = [
    [['machine', 'create', 'Bad_Name'], `name 'Bad_Name' ${named}`], [['machine', 'fork', 'box', 'Bad_Name'], `new 'Bad_Name' ${named}`],
    [['up', '-p', 'Bad Name', '-f', '/dev/null'], `-p 'Bad Name' ${named}`], [['up', '--project-name=Bad', '-f', '/dev/null'], `--project-name 'Bad' ${named}`],
    [['machine', 'create', 'x', '-m', '64000G'], "-m wants at most 1T, not '64000G'"], [['machine', 'create', 'x', '--memory', '63M'], "--memory wants at least 64M, not '63M'"],
    [['machine', 'create', 'x', '-c', '0'], "-c wants at least 1, not '0'"], [['machine', 'create', 'x', '--cpus=65'], "--cpus wants at most 64, not '65'"],
    [['machine', 'create', 'x', '--scratch', '900T'], "--scratch wants at most 1T, not '900T'"], [['machine', 'create', 'x', '--disk', 'a,size=1G', '--disk', 'b,size=1M'], "--disk size wants at least 16M, not 'b,size=1M'"],
    [['machine', 'create', 'x', ...Array.from({ length: 15 }, (_, at) => ['--disk', `d${at},size=1G`]).flat()], '--disk wants at most 14 items'],
    [['disk', 'grow', 'box', 'data', '1M'], "size wants at least 16M, not '1M'"],
  ];
  for (const [args, words] of refused) {
    const verb = args.slice(0, args[0] === 'up' ? 1 : 2).join(' ');
    deepEqual(await run(args), { code: 2, out: '', err: `strata: ${words}\n  see \`strata ${verb} --help\`\n` });
  }
  match((await run(['logs', 'web', '--since', 'yesterday'])).err, /^strata: --since 'yesterday' must be a span such as 30s, .*\n {2}see `strata logs --help`\n$/);
  // A name that no option gave.
  match((await run(['up'], { env: { COMPOSE_PROJECT_NAME: 'Bad Name' } })).err, /^strata: projectName: must be /);
  deepEqual(backend.changes, []);
});

test('[L2] ps of a name that is no service is exit 1, as logs of it; of a service without a container it is not', async (t) => {
  const { run, backend, shop, folder } = await openLab(t);
  const unknown = { code: 1, out: '', err: 'strata: the app shop has no service nosuch\n  it has: api, web\n' };
  deepEqual(await run(['ps', 'nosuch']), unknown);
  deepEqual(await run(['ps', '-q', 'web', 'nosuch']), unknown);
  match((await run(['ps', 'web', 'api'])).out, /shop-web-1/);
  deepEqual(await run(['ps', 'nosuch'], { cwd: folder }), { code: 1, out: '', err: 'strata: no app has a service nosuch\n  see `strata app ls`\n' });
  Object.assign(backend.apps, { containers: async () => [] });
  deepEqual(await run(['ps', '-q', 'web']), { code: 0, out: '', err: '' });
  // Not up: its file says what it will have.
  const { resolve } = backend.apps;
  Object.assign(backend.apps, { resolve: async (...all: Parameters<typeof resolve>) => ({ ...await resolve(...all), name: 'later' }), list: async () => [] });
  deepEqual(await run(['ps', '-q', 'web'], { cwd: shop }), { code: 0, out: '', err: '' });
  match((await run(['ps', '-q', 'nosuch'], { cwd: shop })).err, /the app later has no service nosuch\n {2}it has: api, web\n$/);
});

test('[L5] an error in the Compose file has its place, exit 2, and nothing is deployed', async (t) => {
  const { run, backend, folder } = await openLab(t);
  await mkdir(join(folder, 'broken'));
  await writeFile(join(folder, 'broken', 'compose.yaml'), 'services: {}\n');
  const up = await run(['up', 'broken'], { cwd: folder });
  deepEqual(up, { code: 2, out: '', err: `${folder}/broken/compose.yaml:3:5: unknown key imagee\n  did you mean image?\n` });
  deepEqual(backend.changes, []);
});

test('[L2] machines: waits for the phase, says why it failed, 1 for what is not there', async (t) => {
  const { run, backend } = await openLab(t);
  const started = await run(['machine', 'start', 'box']);
  equal(started.code, 0);
  match(started.err, /^box: running \(\d+\.\d s\)\n$/);
  Object.assign(backend.machines, { get: async () => { const phase = backend.changes.includes('resume box') ? 'running' as const : 'suspended' as const; return { ...fakeMachine('box', phase), startedBy: phase === 'suspended' ? null : { way: 'cold', why: 'its suspended state was dropped: it was damaged' } }; } });
  const resumed = await run(['machine', 'resume', 'box']);
  equal(resumed.code, 0);
  match(resumed.err, /^box: running \(.*\)\nbox: warning: it booted anew instead of going on: what was in its memory is lost\. Why: its suspended state was dropped: it was damaged\n$/);
  deepEqual(await run(['machine', 'start', 'nosuch']), { code: 1, out: '', err: 'strata: there is no machine nosuch\n  list what there is\n' });
  equal((await run(['machine', 'stop', 'box', '--timeout', '1'])).code, 124);
  equal((await run(['machine', 'create', 'new', '-m', '512M', '-d'])).out, 'new\n');
  equal((await run(['backend', 'ls', '-o', 'name'])).out, 'box-data\n');
  match((await run(['backend', 'ls'])).out, /box-data +box +data +vhost-user-blk +qemu +running +4711/);
  match((await run(['backend', 'describe', 'box-data'])).out, /suspend +no +what it has begun is not kept/);
  match((await run(['backend', 'logs', 'box-data'])).out, /Z it was started\n$/);
  equal((await run(['backend', 'restart', 'box-data'])).out, 'box-data\n');
  equal((await run(['disk', 'grow', 'box', 'data', '4G'])).out, 'data: 4096 MiB\n');
  match((await run(['disk', 'copy', 'box', 'data', 'copy.raw', '-q'])).out, /\/copy\.raw\n$/);
  equal((await run(['machine', 'create', 'disks', '-d', '--disk', 'data,size=2G,backend=vhost-user', '--disk', 'logs,size=512M'])).out, 'disks\n');
  match((await run(['machine', 'create', 'disks', '--disk', 'data'])).err, /--disk wants a name and a size/);
  match((await run(['machine', 'create', 'disks', '--disk', 'data,size=1G,backend=nfs'])).err, /--disk does not know 'backend=nfs'/);
  equal((await run(['machine', 'logs', 'box'])).out, 'booting\nbooted\n');
  deepEqual(backend.changes, ['start box', 'resume box', 'stop box', 'create new', 'restart box-data', 'grow box data 4294967296', 'disk.copy box data', 'create disks']);
});

test('[L1] of a disk that a back end serves it is said when the guest sees that it grew', async (t) => {
  const { run, backend } = await openLab(t);
  const { grow } = backend.disks;
  const served = (kind: 'vmm' | 'vhost-user', phase: 'running' | 'stopped') => Object.assign(backend.disks, { grow: async (...all: Parameters<typeof grow>) => ({ ...await grow(...all), phase, disks: [{ name: 'data', format: 'raw', backend: kind }] }) });
  served('vhost-user', 'running');
  deepEqual(await run(['disk', 'grow', 'box', 'data', '300M']), { code: 0, out: 'data: 300 MiB\n', err: 'data: a back end serves it, so the guest sees the new size from its next start: `strata machine restart box`\n' });
  for (const [kind, phase] of [['vmm', 'running'], ['vhost-user', 'stopped']] as const) {
    served(kind, phase);
    equal((await run(['disk', 'grow', 'box', 'data', '300M'])).err, '');
  }
});

test('[L2] a console that has printed nothing is told with what is known of its machine', async (t) => {
  const { run, backend } = await openLab(t);
  Object.assign(backend.machines, { logs: async () => [] });
  const { get } = backend.machines;
  const inPhase = async (phase: string) => { Object.assign(backend.machines, { get: async (name: string) => ({ ...await get(name), phase }) }); return (await run(['machine', 'logs', 'box'])).err; };
  equal(await inPhase('running'), 'strata: nothing is kept of what the console of box printed: it has printed nothing since it was started\n');
  match(await inPhase('stopped'), /it has not run since the host started, or printed nothing\n$/);
});

test('[L2] the other verbs end with 0 and print what they should', async (t) => {
  const { run } = await openLab(t);
  const expected: [string[], RegExp][] = [
    [['down', '-v'], /^$/], [['restart', 'web'], /^$/], [['config'], /^name: shop\n/], [['config', '--services'], /^api\nweb\n$/], [['config', '-o', 'json'], /"name": "shop"/], [['image', 'ls'], /12\.3 MB/],
    [['image', 'pull', 'shop/web'], /^sha256:1{64}\n$/], [['image', 'rm', 'shop/web'], /^sha256/], [['volume', 'ls'], /shop_data/], [['host', 'ls'], /x86_64:qemu\/tcg/], [['host', 'inspect', 'here'], /^id: habcdefghij/], [['inspect', 'shop-web-1'], /^id: cweb1/],
    [['app', 'inspect', 'shop'], /^id: aabc/], [['operation', 'ls'], /ID +KIND +SUBJECT/], [['version'], /^strata 0\.1\.0[^]*daemon 0\.1\.0/], [['version', '-o', 'json'], /"daemon": \{/], [['--version'], /^strata 0/], [['--help'], /Usage/], [['serve', '--print-unit'], /KillMode=process[^]*Delegate=yes/],
  ];
  for (const [args, out] of expected) {
    const ended = await run(args);
    equal(ended.code, 0, `${args.join(' ')}: ${ended.err}`);
    match(ended.out, out, args.join(' '));
  }
  const doctor = await run(['doctor']);
  equal(doctor.code, 1);
  match(doctor.out, /kvm +missing/);
});

test('[L8] names and colours: stable prefixes in pipes without escape codes, colours on wish', async (t) => {
  const { run } = await openLab(t);
  const plain = await run(['logs', '-t']);
  equal(plain.out.split('\n')[0], 'shop-api-1 | 2026-01-02T03:04:05.000Z api says \u001b[31mhello\u001b[0m');
  const coloured = await run(['logs', '--tail', '1'], { env: { FORCE_COLOR: '1' } });
  match(coloured.out, /^\u001b\[\d+mshop-web-1 \| \u001b\[0m/);
  equal(coloured.out, (await run(['logs', '--tail', '1'], { env: { FORCE_COLOR: '1' } })).out);
});

test('[L12] Ctrl-C is 130; an up is cancelled, a down is not', async (t) => {
  const { run, backend } = await openLab(t);
  const never = async (_id: string, signal: AbortSignal) => (async function* () {
    yield await backend.operations.get(_id).then((operation) => ({ ...operation, status: 'running' as const, finishedAt: null, steps: operation.steps.map((step) => ({ ...step, status: 'running' as const })) }));
    await new Promise((resolve) => { signal.addEventListener('abort', resolve); });
  })();
  Object.assign(backend.operations, { follow: never });
  const up = await run(['up'], { signalWhen: 'running start the containers' });
  equal(up.code, 130);
  match(up.err, /is being cancelled/);
  await waitUntil(() => backend.changes.includes('cancel shop'), { what: 'the daemon was asked', limitMs: 2_000 });
  const down = await run(['down'], { signalWhen: 'running start the containers' });
  equal(down.code, 130);
  match(down.err, /goes on/);
  deepEqual(backend.changes, ['app.up shop', 'cancel shop', 'app.down shop']);
  // Past what can be undone it is done all the same.
  const kept = await run(['machine', 'snapshot', 'create', 'box', '--memory'], { signalWhen: 'running start the containers' });
  equal(kept.code, 130);
  match(kept.err, /machine\.snapshot box with memory is being cancelled, and may still finish.*\n {2}`strata operation show o\w+` tells how it ends\n$/);
  const { cancel } = backend.operations;
  Object.assign(backend.operations, { cancel: async (id: string) => ({ ...await cancel(id), status: 'succeeded', finishedAt: '2026-01-02T03:04:05.000Z' }) });
  match((await run(['machine', 'fork', 'box', 'again'], { signalWhen: 'running start the containers' })).err, /machine\.fork box again had ended: succeeded\n/);
});

test('[L12] Ctrl-C in exec without a terminal goes to the command', async (t) => {
  const { run, backend } = await openLab(t);
  equal((await run(['exec', '-T', 'web', 'wait'], { signalWhen: 'waiting' })).code, 130);
  equal(backend.heard[0], 'SIGINT');
});

test('[L9] a console is left where its input ends, a moment later, and on a signal', { timeout: 30_000 }, async (t) => {
  const { run } = await openLab(t);
  deepEqual(await run(['machine', 'console', 'box'], { input: 'root\n' }), { code: 0, out: 'login: root\nwelcome\n', err: '' });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) deepEqual(await run(['machine', 'console', 'box'], { openInput: true, signalWhen: 'login', signal }), { code: 130, out: 'login: ', err: '' });
});

test('[L13] completion offers verbs, options and names, and is silent where no daemon answers', async (t) => {
  const { run, folder } = await openLab(t);
  const words = async (...args: string[]) => (await run(['__complete', '--', ...args])).out.split('\n').filter((line) => line !== '').map((line) => line.split('\t')[0]);
  ok((await words('')).includes('machine'));
  deepEqual(await words('machine', 'in'), ['inspect']);
  deepEqual(await words('machine', 'inspect', ''), ['box']);
  deepEqual(await words('machine', 'ls', '-o', 'j'), ['json', 'jsonl']);
  deepEqual(await words('image', 'import', ''), [':file']);
  ok((await words('up', '--f')).includes('--force-recreate'));
  const alone = await run(['__complete', '--', 'machine', 'inspect', ''], { env: { STRATA_RUN: join(folder, 'nowhere') } });
  deepEqual(alone, { code: 0, out: '', err: '' });
  for (const shell of ['bash', 'zsh', 'fish']) match((await run(['completion', shell])).out, /strata __complete/);
});

test('[L1] the launcher works through a symbolic link from any folder', async (t) => {
  const { run, folder } = await openLab(t);
  await mkdir(join(folder, 'bin'));
  await symlink(launcher, join(folder, 'bin', 'real'));
  await symlink('real', join(folder, 'bin', 'strata'));
  equal((await run(['app', 'ls', '-o', 'name'], { cwd: folder, program: join(folder, 'bin', 'strata') })).out, 'shop\n');
  equal((await run(['app', 'ls', '-o', 'name'], { cwd: join(folder, 'bin'), program: './strata' })).out, 'shop\n');
});
