/**
 * The real edge process: names, parking, death and return.
 * Mostly waits: for the limits of callers that are parked and of addresses that are silent.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import packet from 'dns-packet';
import { identifyProcess, isAlive, silentLog, waitUntil, watchProcess, type Instance } from '#base';
import { watchRequest } from './edge-messages.ts';
import { openEdge, type Edge, type EdgeState } from './index.ts';

const namePort = 20_053 + (process.pid % 2000) * 2;
const parkingPort = namePort + 5001;
let folder: string;
let instance: Instance;
let edge: Edge;

function state(changes: Partial<EdgeState> = {}): EdgeState {
  return {
    gateway: '127.0.0.2', upstream: [],
    names: { 'web.shop.internal': ['10.88.200.1'], 'web-1.shop.internal': ['10.88.1.5'], 'many.shop.internal': Array.from({ length: 60 }, (_, n) => `10.88.2.${n}`) },
    domains: { '127.0.0.1': 'shop.internal' }, parking: [], ...changes,
  };
}

function place(changes: Partial<EdgeState['parking'][number]> = {}): EdgeState['parking'][number] {
  return { id: 'shop.web.80', port: parkingPort, ready: [], limit: 64, timeoutMs: 20_000, mode: 'tcp', ...changes };
}

before(async () => {
  folder = await mkdtemp('/tmp/edge-');
  instance = { name: 'edget', stateDir: `${folder}/state`, runDir: `${folder}/run`, cacheDir: `${folder}/cache`, subnet: 198 };
  edge = openEdge({ instance, log: silentLog, namePort });
  await edge.ensure();
});

after(async () => {
  const { pid } = await edge.stats();
  const identity = await identifyProcess(pid);
  await edge.stop();
  assert.ok(identity !== undefined && !(await isAlive(identity)), 'the edge is gone');
  await rm(folder, { recursive: true });
});

function resolver(): Resolver {
  const one = new Resolver({ timeout: 2000, tries: 1 });
  one.setServers([`127.0.0.2:${namePort}`]);
  return one;
}

/** What the resolver's error code is. */
const code = (work: Promise<unknown>): Promise<string> => work.then(() => 'answered', (error: NodeJS.ErrnoException) => error.code ?? '');

test('[E1] full names and bare names of the asker\'s app resolve; what is not there does not', async () => {
  await edge.apply(state());
  const names = resolver();
  assert.deepEqual(await names.resolve4('web.shop.internal'), ['10.88.200.1']);
  assert.deepEqual(await names.resolve4('WEB-1.Shop.Internal'), ['10.88.1.5']);
  assert.deepEqual(await names.resolve4('web'), ['10.88.200.1']);
  assert.deepEqual(await names.resolve4('host.strata.internal'), ['127.0.0.2']);
  assert.equal(await code(names.resolve4('nobody.shop.internal')), 'ENOTFOUND');
  assert.equal(await code(names.resolve4('nobody')), 'ENOTFOUND');
  assert.equal(await code(names.resolve6('web.shop.internal')), 'ENODATA');
  assert.equal(await code(names.resolve4('shop.internal')), 'ENODATA');
  assert.equal(await code(names.resolve4('constructor')), 'ENOTFOUND');
});

test('[E1] an answer too long for a datagram is cut and comes whole by stream', async () => {
  assert.equal((await resolver().resolve4('many.shop.internal')).length, 60);
});

test('[E2] other names go upstream; a silent upstream is a server failure', async () => {
  const upstream = createSocket('udp4');
  upstream.on('message', (request, from) => {
    const query = packet.decode(request);
    upstream.send(packet.encode({ type: 'response', id: query.id ?? 0, questions: query.questions ?? [], answers: [{ type: 'A', name: query.questions?.[0]?.name ?? '', ttl: 60, data: '192.0.2.77' }] }), from.port, from.address);
  });
  await new Promise<void>((resolve) => { upstream.bind(0, '127.0.0.1', resolve); });
  try {
    await edge.apply(state({ upstream: [`127.0.0.1:${upstream.address().port}`] }));
    assert.deepEqual(await resolver().resolve4('example.org'), ['192.0.2.77']);
    assert.equal(await code(resolver().resolve4('secret.internal')), 'ENOTFOUND', 'our zone never leaves');
  } finally {
    upstream.close();
  }
  await edge.apply(state());
  assert.equal(await code(resolver().resolve4('example.org')), 'ESERVFAIL');
});

test('[E3] hostile packets change nothing', async () => {
  await edge.apply(state());
  const before = (await edge.stats()).pid;
  const socket = createSocket('udp4');
  const good = packet.encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'web.shop.internal' }] });
  try {
    for (let round = 0; round < 600; round += 1) {
      const bytes = round % 3 === 0 ? Buffer.from(crypto.getRandomValues(new Uint8Array(round % 80))) : Buffer.from(good);
      if (round % 3 === 1) bytes[round % bytes.length] = (round * 7) & 255;
      if (round % 3 === 2) bytes.fill(0xc0, 12 + (round % 8), 20);
      socket.send(bytes, namePort, '127.0.0.2');
    }
    const stream = connect({ host: '127.0.0.2', port: namePort });
    stream.on('error', () => undefined);
    stream.write(Buffer.from([0xff, 0xff, 1, 2, 3]));
    assert.deepEqual(await resolver().resolve4('web.shop.internal'), ['10.88.200.1']);
    stream.destroy();
  } finally {
    socket.close();
  }
  assert.equal((await edge.stats()).pid, before);
});

/** A server that answers each line with the line, in capitals, and ends when the client does. */
async function echoServer(address = '127.0.0.1'): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()));
    socket.on('end', () => socket.end('bye'));
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => { server.listen(0, address, resolve); });
  return { server, port: (server.address() as AddressInfo).port };
}

function talk(text: string): { readonly socket: Socket; readonly said: Promise<string> } {
  const socket = connect({ host: '127.0.0.2', port: parkingPort, allowHalfOpen: true });
  socket.on('error', () => undefined);
  socket.end(text);
  const said = new Promise<string>((resolve) => {
    let all = '';
    socket.on('data', (chunk: Buffer) => { all += chunk.toString(); });
    socket.on('close', () => resolve(all));
    socket.on('end', () => socket.destroy());
  });
  return { socket, said };
}

test('[E4] fifty connections wait until something is ready, then all go on; one that gave up is let go', async () => {
  const { server, port } = await echoServer();
  try {
    await edge.apply(state({ parking: [place()] }));
    const clients = Array.from({ length: 50 }, (_, n) => talk(`hello ${n}`));
    const quitter = connect({ host: '127.0.0.2', port: parkingPort });
    quitter.write('x');
    await waitUntil(async () => (await edge.stats()).held === 51, { what: '51 connections wait', limitMs: 5000 });
    quitter.resetAndDestroy();
    await waitUntil(async () => (await edge.stats()).held === 50, { what: 'one has left', limitMs: 5000 });
    assert.equal((await edge.stats()).wakes['shop.web.80'], 51);
    const forwarded = (await edge.stats()).forwarded;
    await edge.apply(state({ parking: [place({ ready: [{ address: '127.0.0.1', port: 1 }, { address: '127.0.0.1', port }] })] }));
    const answers = await Promise.all(clients.map(({ said }) => said));
    assert.deepEqual(answers, clients.map((_, n) => `HELLO ${n}bye`));
    const stats = await edge.stats();
    assert.deepEqual([stats.held, stats.forwarded - forwarded], [0, 50]);
  } finally {
    server.close();
  }
});

test('[E5] over the limit and after the time-out: 503 with Retry-After for http, an end for tcp', async () => {
  const answer = () => new Promise<{ status: number | undefined; retry: string | undefined }>((resolve, reject) => {
    get({ host: '127.0.0.2', port: parkingPort, agent: false }, (response) => {
      response.resume();
      resolve({ status: response.statusCode, retry: response.headers['retry-after'] });
    }).on('error', reject);
  });
  await edge.apply(state({ parking: [place({ mode: 'http', limit: 1, timeoutMs: 700 })] }));
  const first = answer();
  await waitUntil(async () => (await edge.stats()).held === 1, { what: 'the first waits', limitMs: 2000 });
  assert.deepEqual(await answer(), { status: 503, retry: '5' });
  assert.equal((await edge.stats()).held, 1, 'the one over the limit was turned away while the first waited');
  assert.deepEqual(await first, { status: 503, retry: '5' });
  await edge.apply(state({ parking: [place({ timeoutMs: 100 })] }));
  assert.equal(await talk('x').said, '');
});

test('[E6] killed, the edge comes back at once with its state, before anybody says anything', async () => {
  await edge.apply(state({ names: { 'kept.shop.internal': ['10.88.9.9'] } }));
  const { pid } = await edge.stats();
  process.kill(pid, 'SIGKILL');
  const another = async () => (await edge.stats().catch(() => undefined))?.pid;
  await waitUntil(async () => { const now = await another(); return now !== undefined && now !== pid; }, { what: 'another edge answers', limitMs: 15_000 });
  assert.deepEqual(await resolver().resolve4('kept.shop.internal'), ['10.88.9.9']);
});

test('[E10] an edge that was told to stop stays ended', async () => {
  const said: string[] = [];
  const itsOwn = { ...instance, runDir: `${folder}/run2`, stateDir: `${folder}/state2` };
  const another = openEdge({ instance: itsOwn, log: { ...silentLog, error: (_facts: unknown, text: string) => { said.push(text); } } as typeof silentLog, namePort: namePort + 1 });
  await another.ensure();
  const identity = await identifyProcess((await another.stats()).pid);
  assert.ok(identity !== undefined);
  // Looks as the driver does, and began later: when this one knows of the end, the driver does too.
  let told = false;
  const unwatch = watchProcess(identity, `${itsOwn.runDir}/edge.sock`, () => { told = true; }, watchRequest);
  await another.stop();
  await waitUntil(async () => told, { what: 'the end is noticed', limitMs: 5000 });
  unwatch();
  assert.deepEqual(said, [], 'nobody thinks that it died');
  await assert.rejects(another.stats(), { code: 'edge.notRunning' });
});

test('[E7] a later daemon finds the same edge; a change keeps what waits', async () => {
  await edge.apply(state({ parking: [place()] }));
  const { pid } = await edge.stats();
  const { socket } = talk('wait');
  await waitUntil(async () => (await edge.stats()).held === 1, { what: 'one waits', limitMs: 2000 });
  const later = openEdge({ instance, log: silentLog, namePort });
  await later.ensure();
  await later.apply(state({ names: {}, parking: [place({ limit: 3 })] }));
  const stats = await later.stats();
  assert.deepEqual([stats.pid, stats.held], [pid, 1]);
  later.release();
  socket.destroy();
});

test('[E8] a state that is not one changes nothing; a port that is taken is told and tried again', async () => {
  await assert.rejects(edge.apply({ ...state(), gateway: 7 } as unknown as EdgeState));
  const { server, port } = await echoServer('127.0.0.2');
  await edge.apply(state({ parking: [place({ port, id: 'taken' }), place()] }));
  assert.match((await edge.stats()).problems.join(), /taken.*EADDRINUSE/);
  await new Promise<void>((resolve) => { server.close(() => resolve()); });
  await waitUntil(async () => (await edge.stats()).problems.length === 0, { what: 'the port is taken up', limitMs: 4000 });
});

test('[E9] the edge is small', async () => {
  const { pid } = await edge.stats();
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const resident = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]);
  process.stdout.write(`# edge resident ${resident} kB\n`);
  assert.ok(resident < 60 * 1024, `resident ${resident} kB`);
});

const datagramPort = parkingPort + 1;

/** A replica of a UDP service: says who it is and what it was told. */
async function replica(name: string) {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => { socket.send(`${name} ${bytes.toString()}`, from.port, from.address); });
  await new Promise<void>((resolve) => { socket.bind(0, '127.0.0.1', resolve); });
  return { target: { address: '127.0.0.1', port: socket.address().port }, close: () => socket.close() };
}

/** A client that says something until it is answered, as clients of UDP do. */
async function udpClient() {
  const socket = createSocket('udp4');
  const heard: string[] = [];
  socket.on('message', (bytes) => { heard.push(bytes.toString()); });
  await new Promise<void>((resolve) => { socket.bind(0, '127.0.0.1', resolve); });
  return {
    say: (text: string) => { socket.send(text, datagramPort, '127.0.0.1'); },
    ask: (text: string) => waitUntil(() => {
      const answer = heard.find((one) => one.endsWith(` ${text}`));
      if (answer === undefined) socket.send(text, datagramPort, '127.0.0.1');
      return answer;
    }, { what: `an answer to ${text}`, limitMs: 5000, everyMs: 50 }),
    close: () => socket.close(),
  };
}

test('[E11] clients of a published UDP port each speak with one ready replica, and with another when that is ready no more', async () => {
  const [one, other] = [await replica('one'), await replica('other')];
  const [first, second] = [await udpClient(), await udpClient()];
  const publish = (ready: readonly { readonly address: string; readonly port: number }[], changes = {}) => edge.apply(state({ datagrams: [{ id: 'shop.dns', address: '127.0.0.1', port: datagramPort, ready: [...ready], limit: 2, idleMs: 60_000, ...changes }] }));
  const stats = async () => (await edge.stats()).datagrams ?? assert.fail('it counts');
  try {
    await publish([one.target, other.target]);
    const names = await Promise.all([first.ask('a'), second.ask('a')]);
    assert.deepEqual(names.toSorted(), ['one a', 'other a']);
    for (let round = 0; round < 20; round += 1) assert.equal(await first.ask(`b${round}`), `${names[0]?.split(' ')[0]} b${round}`, 'it keeps its replica');
    assert.equal((await stats()).conversations, 2);
    const third = await udpClient();
    const { dropped } = await stats();
    third.say('too many');
    await waitUntil(async () => (await stats()).dropped === dropped + 1, { what: 'the client over the limit is dropped', limitMs: 5000 });
    third.close();
    await publish([other.target]);
    assert.deepEqual(await Promise.all([first.ask('c'), second.ask('c')]), ['other c', 'other c']);
    await publish([]);
    assert.equal((await stats()).conversations, 0);
    const before = (await stats()).dropped;
    first.say('nobody');
    await waitUntil(async () => (await stats()).dropped > before, { what: 'what finds nobody is dropped', limitMs: 5000 });
    await publish([one.target], { idleMs: 200 });
    assert.equal(await first.ask('d'), 'one d');
    await waitUntil(async () => (await stats()).conversations === 0, { what: 'the silent one is forgotten', limitMs: 5000 });
    assert.equal(await first.ask('e'), 'one e');
    await edge.apply(state());
    const taken = createSocket('udp4');
    await new Promise<void>((resolve, reject) => { taken.once('error', reject).bind(datagramPort, '127.0.0.1', resolve); });
    await publish([one.target]);
    assert.match((await edge.stats()).problems.join(), new RegExp(`UDP port ${datagramPort} on 127.0.0.1: .*EADDRINUSE`));
    await new Promise<void>((resolve) => { taken.close(() => resolve()); });
    assert.equal(await second.ask('f'), 'one f', 'tried again by itself');
  } finally {
    for (const each of [one, other, first, second]) each.close();
  }
});

test('[E11] a flood to a published UDP port makes the edge no larger than it may be', async () => {
  const [silent, client] = [createSocket('udp4'), await udpClient()];
  await new Promise<void>((resolve) => { silent.bind(0, '127.0.0.1', resolve); });
  try {
    await edge.apply(state({ datagrams: [{ id: 'shop.dns', address: '127.0.0.1', port: datagramPort, ready: [{ address: '127.0.0.1', port: silent.address().port }], limit: 4, idleMs: 60_000 }] }));
    const { pid } = await edge.stats();
    const resident = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
    const datagram = 'x'.repeat(8000);
    for (let round = 0; round < 5000; round += 1) {
      client.say(datagram);
      if (round % 100 === 0) await edge.stats();
    }
    assert.ok(await resident() < 90, `${await resident()} MiB`);
    assert.equal((await edge.stats()).pid, pid);
  } finally {
    silent.close();
    client.close();
    await edge.apply(state());
  }
});

test('[E12] an edge of an earlier program, which refuses the state, is replaced', async () => {
  const { pid } = await edge.stats();
  const identity = await identifyProcess(pid);
  // This program's own edge refuses what it does not know just as an earlier one does: another schema on the daemon's side is all that is missing.
  await assert.rejects(edge.apply(state({ gateway: 'nowhere' })), { code: 'edge.refused' });
  assert.ok(identity !== undefined && !(await isAlive(identity)), 'the one that refused is gone');
  await edge.apply(state());
  assert.notEqual((await edge.stats()).pid, pid);
  assert.deepEqual(await resolver().resolve4('web.shop.internal'), ['10.88.200.1']);
});
