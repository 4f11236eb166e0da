/**
 * The same small programs (busybox) on the host itself, under gVisor where Debian's runsc is there, and in a guest of each
 * engine: user code, system calls, new processes, round trips over a tap, and a disk. Rounds of one subject follow each
 * other; the best counts, since other work only ever adds. No bar: the figures say which engine is for what.
 */
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { newId, runProcess, silentLog, StrataError, systemClock, systemDice, waitUntil, type Architecture } from '#base';
import { ensureGuestOs, measureFigures, type Engine, type MachineSpec } from '#machines';
import { openQemuEngine } from '#machines/qemu';
import { openUmlEngine } from '#machines/uml';
import { openAgentConnection } from '../src/machines/agent/open-agent-connection.ts';
import { awaitQuiet, loadNow, report, round, say } from './harness/measure.ts';
import { ownInstance } from './harness/own-instance.ts';
import { serveInGvisor } from './harness/serve-in-gvisor.ts';

await using own = await ownInstance('bes', 194);
await mkdir(own.folder, { recursive: true });
const [tap, hostAddress, guestAddress] = ['bes-tap', '10.194.7.1', '10.194.7.2'];
const gvisorNetwork = { folder: own.folder, name: 'bes-gvisor', host: '10.194.8.1', guest: '10.194.8.2' };
const [echoPort, connections, echoMs] = [7123, 8, 2000];
const fileMiB = 64;
const network = {
  async ensureTap(): Promise<string> {
    await runProcess(['ip', 'tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr']);
    await runProcess(['ip', 'address', 'add', `${hostAddress}/24`, 'dev', tap]);
    await runProcess(['ip', 'link', 'set', 'dev', tap, 'up']);
    return tap;
  },
  async removeTap(): Promise<void> { await runProcess(['ip', 'link', 'delete', 'dev', tap], { okCodes: [0, 1] }); },
};

/** Where programs are run. */
interface Place {
  readonly name: string;
  readonly ours: boolean;
  /** A folder on a disk. */
  readonly folder: string;
  /** Where a server in it is reached; null where it is not measured. */
  readonly address: string | null;
  run(script: string): Promise<string>;
  /** Starts a program that goes on. */
  serve(argv: readonly string[]): Promise<() => Promise<void>>;
}

interface Measured { readonly step: number; readonly call: number; readonly fork: number; readonly trips: number | null; readonly written: number | null; readonly read: number | null }

async function measure(place: Place): Promise<Measured> {
  const { stepNanos, callNanos, forkMicros } = await measureFigures((script) => place.run(script));
  const file = join(place.folder, 'measured');
  const dd = (words: string) => `/bin/busybox dd ${words} bs=64k count=${fileMiB * 16} 2>/dev/null`;
  const written = await megabytes(place, dd(`if=/dev/zero of=${file} conv=fsync`));
  // A guest's own cache is emptied; the host's is everybody's, so it is gone round. gVisor has its files in memory.
  const read = place.ours ? await megabytes(place, `echo 3 >/proc/sys/vm/drop_caches; ${dd(`if=${file} of=/dev/null`)}`) : await megabytes(place, dd(`if=${file} of=/dev/null iflag=direct`));
  await place.run(`/bin/busybox rm -f ${file}`);
  return { step: stepNanos / 1000, call: callNanos / 1000, fork: forkMicros / 1000, trips: await roundTrips(place), written, read };
}

/** MB/s of the best of three; null where it cannot be done there. */
async function megabytes(place: Place, command: string): Promise<number | null> {
  let best = 0;
  for (let once = 0; once < 3; once += 1) {
    const [from = 0, to = 0, code = 1] = (await place.run(`read -r from rest </proc/uptime; ${command}; code=$?; read -r to rest </proc/uptime; echo $from $to $code`)).trim().split(' ').map(Number);
    if (code !== 0) return null;
    best = Math.max(best, (fileMiB * 1.048576) / Math.max(0.01, to - from));
  }
  return best;
}

/** One byte there and back, on several connections at once, each with a process of its own; per second. */
async function roundTrips(place: Place): Promise<number | null> {
  const { address } = place;
  if (address === null) return null;
  const end = await place.serve(['/bin/busybox', 'nc', '-ll', '-p', String(echoPort), '-e', '/bin/busybox', 'cat']);
  try {
    await waitUntil(() => reaches(address), { what: `${place.name} listens`, limitMs: 20_000, everyMs: 100 });
    const counts = await Promise.all(Array.from({ length: connections }, () => pingPong(address)));
    return counts.reduce((sum, one) => sum + one, 0) / (echoMs / 1000);
  } finally { await end(); }
}

const reaches = (address: string): Promise<boolean> => new Promise((resolve) => {
  const socket = connect({ host: address, port: echoPort }, () => { socket.destroy(); resolve(true); });
  socket.on('error', () => resolve(false));
});

const pingPong = (address: string): Promise<number> => new Promise((resolve, reject) => {
  let count = 0;
  const socket = connect({ host: address, port: echoPort, noDelay: true }, () => {
    const over = performance.now() + echoMs;
    socket.on('data', () => {
      count += 1;
      if (performance.now() >= over) { socket.destroy(); resolve(count); } else socket.write('x');
    });
    socket.write('x');
  });
  socket.on('error', reject);
});

const native: Place = {
  name: 'this host itself', ours: false, folder: own.folder, address: '127.0.0.1',
  run: async (script) => (await runProcess(['/bin/busybox', 'sh', '-c', script], { timeoutMs: 120_000 })).stdout,
  serve: (argv) => serveHere(argv),
};

/** gVisor shows the host's files, and what is written there stays in its own memory, so its disk is none. */
function gvisor(): Place {
  const sandbox = ['runsc', '--platform=ptrace', '--network=none', '--ignore-cgroups', `--root=${join(own.folder, 'runsc')}`, 'do'] as const;
  return {
    name: 'gVisor (runsc, ptrace)', ours: false, folder: '/tmp', address: gvisorNetwork.guest,
    run: async (script) => (await runProcess([...sandbox, '/bin/busybox', 'sh', '-c', script], { timeoutMs: 240_000 })).stdout,
    serve: (argv) => serveInGvisor(gvisorNetwork, argv),
  };
}

async function serveHere([program = '', ...words]: readonly string[]): Promise<() => Promise<void>> {
  const end = new AbortController();
  const running = runProcess([program, ...words], { timeoutMs: 120_000, signal: end.signal }).catch(() => undefined);
  return async () => {
    end.abort();
    await running;
  };
}

/** A machine of that engine, until the work is done. */
async function inMachine(engine: Engine, architecture: Architecture, name: string, work: (place: Place) => Promise<Measured>): Promise<Measured> {
  const spec: MachineSpec = {
    id: newId('machine', systemDice), name: 'bench', architecture, engine: engine.name, processors: 1, memoryMiB: 512, boot: { kind: 'guest-os' }, scratchMiB: 1024, disks: [],
    network: { mac: '02:00:0a:c2:07:02', address: guestAddress }, wanted: 'running', owner: null, createdAt: 1, generation: 1,
  };
  const machine = await engine.start(spec);
  try {
    const agent = await openAgentConnection(await machine.openAgentLine(), { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 120_000 });
    await agent.call('awaitDisks', { serials: ['scratch'], timeoutMs: 20_000 }, { timeoutMs: 30_000 });
    const exec = async (argv: readonly string[]) => {
      const stream = agent.openStream();
      stream.errors.resume();
      stream.done.catch(() => undefined);
      await agent.call('exec', { container: '', stream: stream.id, argv, env: ['PATH=/bin'], cwd: '/', user: '', tty: null, stdin: false }, { timeoutMs: 60_000 });
      return stream;
    };
    const run = async (script: string) => {
      let said = '';
      for await (const chunk of (await exec(['/bin/sh', '-c', script])).output) said += String(chunk);
      return said;
    };
    await run(`ip link set lo up; ip link set eth0 up; ip address add ${guestAddress}/24 dev eth0`);
    const measured = await work({ name, ours: true, folder: '/scratch', address: guestAddress, run, serve: async (argv) => { const stream = await exec(argv); stream.output.resume(); return async () => stream.close(); } });
    agent.close();
    return measured;
  } finally {
    await machine.kill();
    await machine.release();
    await engine.erase(spec.id);
  }
}

const rows = [
  ['step', 'a step of a loop in user code', 'µs'], ['call', 'a system call (dd, 1 byte)', 'µs'], ['fork', 'a process (fork, exec, wait)', 'ms'],
  ['trips', `round trips of 1 byte, ${connections} connections`, '1/s'], ['written', `write ${fileMiB} MiB and fsync`, 'MB/s'], ['read', `read ${fileMiB} MiB, not from its own cache`, 'MB/s'],
] as const;

function tell(place: { readonly name: string; readonly ours: boolean }, measured: Measured, host: Measured, load: number): void {
  for (const [key, what, unit] of rows) {
    const [value, rival] = [measured[key], host[key]];
    if (value === null) continue;
    report({ bench: `${what}: ${place.name}`, unit, strata: place.ours ? round(value) : null, rival: place.ours ? 'this host itself' : place.name, rivalValue: place.ours ? rival === null ? null : round(rival) : round(value), ...(place.ours && rival !== null ? { ratio: round(value / rival) } : {}), load });
  }
}

await awaitQuiet();
const deps = { instance: own.instance, log: silentLog, network };
const qemu = openQemuEngine({ ...deps, guestOs: (architecture) => ensureGuestOs(architecture, own), accelerator: async () => 'tcg' });
const uml = openUmlEngine({ ...deps, guestOs: (architecture) => ensureGuestOs(architecture, { instance: own.instance, flavour: 'uml' }) });
const hostLoad = loadNow();
const host = await measure(native);
tell(native, host, host, hostLoad);
const machines = [[uml, 'x86_64', 'UML'], [qemu, 'x86_64', 'TCG x86_64'], [qemu, 'aarch64', 'TCG aarch64']] as const;
try {
  const load = loadNow();
  tell(gvisor(), await measure(gvisor()), host, load);
} catch (thrown) {
  if (!(thrown instanceof StrataError)) throw thrown;
  say(`gVisor is left out: ${thrown.message.slice(0, 200)}`);
}
for (const [engine, architecture, name] of machines) {
  const load = loadNow();
  tell({ name, ours: true }, await inMachine(engine, architecture, name, measure), host, load);
}
