/** The host's network for real: stand-in machines behind links with the taps' names, on an instance of their own. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { childEnvironment, runProcess, silentLog, waitUntil, type Instance } from '#base';
import { openHostNetwork, tapName, type HostNetwork, type HostNetworkState } from './index.ts';
import { makeStandIn, type StandIn } from './testing/stand-in-machine.ts';

const subnet = 190 + (process.pid % 6);
const at = (rest: string): string => `10.${subnet}.${rest}`;
const web = at('200.1');
const idle = at('200.2');
const other = at('200.3');
const [one, two, three] = [at('1.1'), at('1.2'), at('2.1')] as const;
const stranger = at('2.2');
const gateway = at('0.1');
const parkingPort = 24_117;
let folder: string;
let instance: Instance;
let network: HostNetwork;
let first: StandIn;
let second: StandIn;
let censusBefore: string;
const children: ChildProcess[] = [];
let hostServer: Server;

const state: HostNetworkState = {
  endpoints: [
    { address: one, machineId: 'mfirst', project: 'shop' }, { address: two, machineId: 'mfirst', project: 'shop' },
    { address: three, machineId: 'msecond', project: 'shop' }, { address: stranger, machineId: 'msecond', project: 'forum' },
  ],
  virtualAddresses: [
    { address: web, project: 'shop', ports: [{ protocol: 'tcp', port: 80 }, { protocol: 'udp', port: 90 }], backends: [one, two, three], parking: { 80: parkingPort } },
    { address: idle, project: 'shop', ports: [{ protocol: 'tcp', port: 80 }], backends: [], parking: { 80: parkingPort } },
    { address: other, project: 'forum', ports: [{ protocol: 'tcp', port: 80 }], backends: [stranger], parking: {} },
  ],
};

/** Answers with its own address and the asker's; by datagram too. */
const program = `
  const name = process.argv[1];
  require('node:http').createServer((request, response) => response.end(name + ' ' + request.socket.remoteAddress)).listen(80, '0.0.0.0');
  const echo = require('node:net').createServer((socket) => { socket.on('error', () => {}); socket.pipe(socket); }).listen(81, '0.0.0.0');
  const udp = require('node:dgram').createSocket('udp4');
  udp.on('message', (text, from) => udp.send(name, from.port, from.address));
  udp.bind(90, () => console.log('up'));`;

async function census(): Promise<string> {
  const [links, tables, spaces, rules] = await Promise.all([['ip', '-o', 'link'], ['nft', 'list', 'tables'], ['ip', 'netns'], ['ip', 'route']].map((argv) => runProcess(argv as [string, ...string[]])));
  const ours = (text: string | undefined) => (text ?? '').split('\n').filter((line) => line.includes(instance.name) || line.includes(`10.${subnet}.`)).join('\n');
  return [links, tables, spaces, rules].map((result) => ours(result?.stdout)).join('|');
}

async function serve(machine: StandIn, address: string): Promise<void> {
  const [command, ...args] = machine.inside(address, [process.execPath, '-e', program, address]);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...childEnvironment } });
  children.push(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', () => reject(new Error('the stand-in server ended')));
  });
}

/** Asks from a container; says who answered, or curl's word for why nobody did. */
async function ask(machine: StandIn, from: string, url: string, ...more: readonly string[]): Promise<string> {
  const { code, stdout } = await machine.run(from, ['curl', '-s', '--max-time', '1.5', ...more, url], [0, 7, 28, 45, 52, 56]);
  return ({ 0: stdout, 7: 'refused', 28: 'silence', 52: 'reset', 56: 'reset' } as Record<number, string>)[code] ?? `curl ${code}`;
}

async function askFromHost(url: string): Promise<string> {
  const { code, stdout } = await runProcess(['curl', '-s', '--max-time', '1.5', url], { okCodes: [0, 7, 28] });
  return code === 0 ? stdout : code === 7 ? 'refused' : 'silence';
}

before(async () => {
  folder = await mkdtemp('/tmp/net-');
  instance = { name: `n${(process.pid % 100_000).toString(36)}`, stateDir: folder, runDir: folder, cacheDir: folder, subnet };
  censusBefore = await census();
  assert.equal(censusBefore, '|||');
  network = openHostNetwork({ instance, log: silentLog });
  await network.ensure();
  first = await makeStandIn(instance, 'mfirst', [one, two]);
  second = await makeStandIn(instance, 'msecond', [three, stranger]);
  assert.equal(await network.ensureTap('mfirst'), tapName(instance, 'mfirst'));
  await network.ensureTap('msecond');
  await network.apply(state);
  await Promise.all([serve(first, one), serve(first, two), serve(second, three), serve(second, stranger)]);
  hostServer = createServer((socket) => { socket.on('error', () => undefined).resume(); socket.end('HTTP/1.0 200 OK\r\n\r\nhost'); });
  await new Promise<void>((resolve) => { hostServer.listen(parkingPort, '0.0.0.0', resolve); });
});

after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await new Promise<void>((resolve) => { hostServer.close(() => resolve()); });
  await first.erase();
  await second.erase();
  await network.erase();
  assert.equal(await census(), censusBefore, '[N10] erase leaves nothing');
  await network.erase();
  await rm(folder, { recursive: true });
});

test('[N1] a virtual address is spread over all the ready replicas, from containers and from the host', async () => {
  for (const asker of [(): Promise<string> => ask(second, three, `http://${web}/`), () => askFromHost(`http://${web}/`)]) {
    const counts = new Map<string, number>();
    const answers = await Promise.all(Array.from({ length: 30 }, asker));
    for (const answer of answers.map((whole) => whole.split(' ')[0] ?? '')) counts.set(answer, (counts.get(answer) ?? 0) + 1);
    assert.deepEqual([...counts.keys()].sort(), [one, two, three]); // one in 50 thousand runs misses a replica by chance

  }
});

test('[N1] replicas see who asks; datagrams are spread too', async () => {
  assert.match(await ask(first, one, `http://${three}/`), new RegExp(`^${three} .*${one}$`));
  const client = `const s = require('node:dgram').createSocket('udp4'); s.on('message', (m) => { console.log(String(m)); s.close(); }); s.send('x', 90, '${web}'); setTimeout(() => process.exit(9), 2000).unref();`;
  const { stdout } = await second.run(three, [process.execPath, '-e', client]);
  assert.ok([one, two, three].includes(stdout.trim()));
});

test('[N2] a container reaches itself through its service', async () => {
  const answers = new Set<string>();
  for (let round = 0; round < 60 && answers.size < 3; round += 1) answers.add(await ask(first, one, `http://${web}/`));
  assert.deepEqual([...answers].map((answer) => answer.split(' ')[0]).sort(), [one, two, three].sort());
  assert.match([...answers].find((answer) => answer.startsWith(one)) ?? '', new RegExp(`${gateway}$`));
});

test('[N1] a port that nobody listed leads to the ready replicas too', async () => {
  assert.notEqual(await ask(second, three, `http://${web}:81/`, '--http0.9'), 'refused');
});

test('[N3] a port on which no replica listens, a virtual address without replicas, and an address nobody has refuse at once', async () => {
  const started = performance.now();
  for (const url of [`http://${web}:85/`, `http://${idle}:85/`, `http://${at('77.77')}/`]) {
    assert.equal(await ask(first, one, url), 'refused', url);
    assert.equal(await askFromHost(url), 'refused', url);
  }
  assert.ok(performance.now() - started < 1500);
});

test('[N4] with no ready replica connections lead to the edge', async () => {
  assert.equal(await ask(first, one, `http://${idle}/`), 'host');
  assert.equal(await askFromHost(`http://${idle}/`), 'host');
});

test('[N5] other projects are out of reach, by address and by service', async () => {
  assert.equal(await ask(first, one, `http://${stranger}/`), 'refused');
  assert.equal(await ask(second, three, `http://${stranger}/`), 'refused', 'even in the same machine');
  assert.equal(await ask(first, one, `http://${other}/`), 'refused');
  assert.match(await ask(second, stranger, `http://${other}/`), new RegExp(`^${stranger} `));
});

test('[N6] containers reach no port of the host but name service and parked connections', async () => {
  assert.equal(await ask(first, one, `http://${gateway}:${parkingPort}/`), 'refused', 'not even the parking port by itself');
  const own = JSON.parse((await runProcess(['ip', '-json', '-4', 'address', 'show', 'scope', 'global'])).stdout) as { readonly ifname: string; readonly addr_info: readonly { readonly local: string }[] }[];
  for (const { local } of own.filter(({ ifname }) => !ifname.startsWith(instance.name)).flatMap(({ addr_info }) => addr_info)) {
    assert.equal(await ask(first, one, `http://${local}:${parkingPort}/`), 'refused', local);
  }
  assert.equal(await ask(first, one, 'http://192.168.250.1/'), 'refused');
  assert.equal(await ask(first, one, 'http://169.254.169.254/'), 'refused');
  const names = createServer((socket) => { socket.resume().end('HTTP/1.0 200 OK\r\n\r\nnames'); });
  await new Promise<void>((resolve) => { names.listen(53, gateway, resolve); });
  assert.equal(await ask(first, one, `http://${gateway}:53/`, '--http0.9'), 'names');
  await new Promise<void>((resolve) => { names.close(() => resolve()); });
});

test('[N7] nobody speaks with an address or a MAC that is not his', async () => {
  const space = `${instance.name}-${two}`;
  const mac = (await runProcess(['ip', '-n', space, '-json', 'link', 'show', 'eth0'])).stdout.match(/"address":"([^"]+)"/)?.[1] ?? '';
  await runProcess(['ip', '-n', space, 'address', 'add', `${one}/32`, 'dev', 'lo']);
  assert.equal(await ask(first, two, `http://${three}/`, '--interface', one), 'silence');
  await runProcess(['ip', '-n', space, 'address', 'del', `${one}/32`, 'dev', 'lo']);
  await runProcess(['ip', '-n', space, 'link', 'set', 'eth0', 'address', '0a:53:01:02:03:04']);
  await runProcess(['ip', '-n', space, 'route', 'replace', 'default', 'via', gateway]).catch(() => undefined);
  assert.notEqual((await ask(first, two, `http://${three}/`)).split(' ')[0], three);
  await runProcess(['ip', '-n', space, 'link', 'set', 'eth0', 'address', mac]);
  for (const route of [[gateway, 'dev', 'eth0'], ['default', 'via', gateway]]) await runProcess(['ip', '-n', space, 'route', 'replace', ...route]);
  await waitUntil(async () => (await ask(first, two, `http://${three}/`)).startsWith(three), { what: 'the honest container is heard again', limitMs: 5000 });
});

test('[N7] the host answers no question for an address but the gateway\'s, and IPv6 leads nowhere', async () => {
  const space = `${instance.name}-${one}`;
  await runProcess(['ip', '-n', space, 'route', 'add', at('250.1'), 'dev', 'eth0']);
  await runProcess(['ip', 'address', 'add', `${at('250.1')}/32`, 'dev', 'lo']);
  try {
    assert.notEqual(await ask(first, one, `http://${at('250.1')}:${parkingPort}/`), 'host');
    const { stdout } = await runProcess(['ip', '-n', space, 'neighbour', 'show', at('250.1')]);
    assert.doesNotMatch(stdout, /REACHABLE|STALE|DELAY|PROBE/);
  } finally {
    await runProcess(['ip', 'address', 'del', `${at('250.1')}/32`, 'dev', 'lo']);
    await runProcess(['ip', '-n', space, 'route', 'del', at('250.1'), 'dev', 'eth0']);
  }
  assert.equal((await readFile(`/proc/sys/net/ipv6/conf/${tapName(instance, 'mfirst')}/disable_ipv6`, 'utf8').catch(() => '1')).trim(), '1');
});

test('[N8] the same state again changes nothing; a later daemon knows it; a changed one is whole at once', async () => {
  const handles = async () => (await runProcess(['nft', '-j', 'list', 'counters'])).stdout;
  const watch = spawn('ip', ['monitor', 'link', 'route', 'neigh'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let changes = '';
  watch.stdout.on('data', (text: Buffer) => { changes += text.toString(); });
  const before = await handles();
  await network.apply(state);
  const later = openHostNetwork({ instance, log: silentLog });
  await later.ensure();
  await later.ensureTap('mfirst');
  await later.apply(structuredClone(state));
  assert.equal(await handles(), before);
  watch.kill();
  assert.doesNotMatch(changes, new RegExp(`${tapName(instance, 'mfirst')}.*(proto|PERMANENT)`));
  // Other than the first, the later daemon has not filled the sets and maps itself.
  await later.apply({ ...state, virtualAddresses: state.virtualAddresses.map((virtual) => ({ ...virtual, backends: virtual.backends.slice(0, 1) })) });
  for (let round = 0; round < 3; round += 1) assert.match(await ask(second, three, `http://${web}/`), new RegExp(`^${one} `));
  await network.apply(state);
  assert.notEqual(await handles(), before);
});

test('[N8] what somebody else removed comes back, by the same state and by another', async () => {
  const removeTable = () => runProcess(['nft', 'delete', 'table', 'inet', `strata_${instance.name}`]);
  await removeTable();
  await network.apply({ ...state, virtualAddresses: state.virtualAddresses.map((virtual) => ({ ...virtual, backends: virtual.backends.slice(0, 1) })) });
  assert.match(await ask(second, three, `http://${web}/`), new RegExp(`^${one} `));
  assert.equal(await ask(first, one, `http://${stranger}/`), 'refused');
  await network.apply(state);
  await removeTable();
  await runProcess(['ip', 'neighbour', 'delete', one, 'dev', tapName(instance, 'mfirst')]);
  await runProcess(['ip', 'route', 'delete', `${two}/32`]);
  await network.apply(state);
  assert.match(await ask(second, three, `http://${one}/`), new RegExp(`^${one} `));
  assert.match(await ask(second, three, `http://${two}/`), new RegExp(`^${two} `));
  assert.equal(await ask(first, one, `http://${stranger}/`), 'refused');
});

test('[N9] replacing the table under traffic breaks no connection and fails no new one', async () => {
  const load = `
    const net = require('node:net'); const http = require('node:http'); let asked = 0, failed = 0, why = [], echoed = 0, stop = false;
    const long = net.connect(81, '${three}'); long.on('error', (e) => { console.log('long', e.code); process.exit(1); });
    long.on('data', () => { echoed += 1; if (!stop) setTimeout(() => long.write('x'), 1); }); long.write('x');
    const next = () => { if (stop) return; asked += 1; http.get({ host: '${web}', agent: false, timeout: 3000 }, (r) => { r.resume(); r.on('end', next); }).on('error', (e) => { failed += 1; why.push(e.code); next(); }); };
    for (let n = 0; n < 4; n += 1) next();
    process.stdin.on('end', () => { stop = true; setTimeout(() => { console.log(JSON.stringify({ asked, failed, why, echoed })); process.exit(0); }, 300); }).resume();`;
  const [command, ...args] = first.inside(one, [process.execPath, '-e', load]);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...childEnvironment } });
  let said = '';
  child.stdout.on('data', (text: Buffer) => { said += text.toString(); });
  const ended = new Promise<void>((resolve) => { child.on('close', () => resolve()); });
  for (let round = 0; round < 25; round += 1) {
    await network.apply({ ...state, virtualAddresses: state.virtualAddresses.map((virtual) => ({ ...virtual, backends: round % 2 === 0 ? virtual.backends.slice(1) : virtual.backends })) });
  }
  child.stdin.end();
  await ended;
  await network.apply(state);
  const result = JSON.parse(said) as { readonly asked: number; readonly failed: number; readonly echoed: number };
  assert.equal(result.failed, 0, said);
  assert.ok(result.asked > 50 && result.echoed > 20, said);
});

test('[N11] bad input changes nothing', async () => {
  const tables = (await runProcess(['nft', '-j', 'list', 'tables'])).stdout;
  const hostile = [
    { ...state, endpoints: [{ address: '10.0.0.1; flush ruleset', machineId: 'm1', project: null }] },
    { ...state, endpoints: [{ address: one, machineId: '../x', project: null }] },
    { ...state, virtualAddresses: [{ ...state.virtualAddresses[0] as HostNetworkState['virtualAddresses'][number], backends: ['1.2.3.4.5'] }] },
  ];
  for (const wish of hostile) await assert.rejects(network.apply(wish), /not an IPv4 address|not a machine id/);
  await assert.rejects(network.ensureTap('a b'), { code: 'network.badMachineId' });
  assert.equal((await runProcess(['nft', '-j', 'list', 'tables'])).stdout, tables);
});

test('[N12] a real tap: made once, for its machine alone, gone when removed', async () => {
  const name = await network.ensureTap('mabcdefgh');
  assert.equal(await network.ensureTap('mabcdefgh'), name);
  await assert.rejects(network.ensureTap('mxabcdefgh'), { code: 'network.tapTaken' });
  const details = (await runProcess(['ip', '-json', '-details', 'link', 'show', name])).stdout;
  assert.match(details, /"vnet_hdr":true/);
  assert.match(details, /"ifalias":"mabcdefgh"/);
  await network.removeTap('mabcdefgh');
  await network.removeTap('mabcdefgh');
  assert.equal((await runProcess(['ip', 'link', 'show', name], { okCodes: [0, 1] })).code, 1);
});

test('[N16] a tap handed over is the other machine\'s, with its addresses; no third one\'s is touched', async () => {
  const addresses = [at('3.1'), at('3.2')];
  const index = async (name: string) => (await readFile(`/sys/class/net/${name}/ifindex`, 'utf8')).trim();
  const held = await index(await network.ensureTap('mpabcdefabcdef'));
  const before = await index(await network.ensureTap('mtakes'));
  await network.apply({ ...state, endpoints: [...state.endpoints, ...addresses.map((address) => ({ address, machineId: 'mtakes', project: 'shop' }))] });
  await network.handOverTap('mpabcdefabcdef', 'mtakes');
  const name = tapName(instance, 'mtakes');
  assert.deepEqual([await index(name), (await readFile(`/sys/class/net/${name}/ifalias`, 'utf8')).trim(), held === before], [held, 'mtakes', false]);
  assert.equal(await network.ensureTap('mtakes'), name, 'and it knows it');
  const routes = (await runProcess(['ip', 'route', 'show', 'dev', name])).stdout;
  for (const address of addresses) assert.match(routes, new RegExp(`^${address.replaceAll('.', '\\.')} `, 'm'));
  assert.equal((await runProcess(['ip', 'link', 'show', tapName(instance, 'mpabcdefabcdef')], { okCodes: [0, 1] })).code, 1);
  await network.ensureTap('mabcdefgh');
  await network.ensureTap('mpother');
  await assert.rejects(network.handOverTap('mpother', 'mxabcdefgh'), { code: 'network.tapTaken' });
  for (const id of ['mtakes', 'mabcdefgh', 'mpother']) await network.removeTap(id);
  await network.apply(state);
});

test('[N15] the outside is reached under the host\'s address, and reaches in only to answer', async () => {
  const space = `${instance.name}-world`;
  await runProcess(['ip', 'netns', 'add', space]);
  try {
    await runProcess(['ip', 'link', 'add', `${instance.name}-w`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space]);
    for (const line of [`link set ${instance.name}-w up`, `address add 203.0.113.1/24 dev ${instance.name}-w`, `-n ${space} link set eth0 up`, `-n ${space} address add 203.0.113.2/24 dev eth0`, `-n ${space} route add default via 203.0.113.1`]) await runProcess(['ip', ...line.split(' ')]);
    const [command, ...args] = ['ip', 'netns', 'exec', space, process.execPath, '-e', program, 'world'] as const;
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...childEnvironment } });
    children.push(child);
    await new Promise<void>((resolve) => { child.stdout.once('data', () => resolve()); });
    assert.match(await ask(first, one, 'http://203.0.113.2/'), /^world .*203\.0\.113\.1$/);
    for (const target of [one, web, gateway]) {
      const { code } = await runProcess(['ip', 'netns', 'exec', space, 'curl', '-s', '--max-time', '0.5', `http://${target}/`], { okCodes: [7, 28] });
      assert.equal(code, 28, target);
    }
    child.kill('SIGKILL');
  } finally {
    await runProcess(['ip', 'netns', 'delete', space]);
    await runProcess(['ip', 'link', 'delete', `${instance.name}-w`], { okCodes: [0, 1, 2] }); // it goes with its other end, maybe while it is looked up
  }
});

test('[N10] erase leaves nothing of an instance, and nothing of another is touched', async () => {
  const neighbour = { ...instance, name: `${instance.name.slice(0, 5)}z`, subnet: 196 };
  const before = await census();
  const its = openHostNetwork({ instance: neighbour, log: silentLog });
  await its.ensure();
  await its.ensureTap('mone');
  await its.apply({ endpoints: [{ address: '10.196.1.1', machineId: 'mone', project: 'p' }], virtualAddresses: [] });
  await its.erase();
  await its.erase();
  assert.equal(await census(), before);
  const left = await Promise.all([['ip', '-o', 'link'], ['ip', 'route'], ['ip', 'neigh'], ['nft', 'list', 'tables']].map((argv) => runProcess(argv as [string, ...string[]])));
  assert.doesNotMatch(left.map(({ stdout }) => stdout).join(''), new RegExp(`${neighbour.name}|10\\.196\\.`));
});
