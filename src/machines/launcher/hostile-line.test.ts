/**
 * A captured guest on the serial line of a VMM without a port (UML): whatever it sends or keeps back, keeper and host stay small, and others are served.
 * Mostly waits: each greeting that a captured guest spoils has its time to the end.
 */
import { equal, ok, rejects } from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isAlive, silentLog, systemClock, systemDice, waitUntil } from '#base';
import { openAgentConnection } from '../agent/open-agent-connection.ts';
import { openLaunchTest, residentKb, standInUid, type LaunchTest } from './testing/stand-in-vmm.ts';

const MiB = 1024 * 1024;
const packets = 'while :; do /bin/busybox printf "\\001\\377\\377"; /bin/busybox dd if=/dev/zero bs=65535 count=1 2>/dev/null; done >&4';
/** What a guest may do with its end, descriptor 4; as much as it can for the length of the test. */
const attacks: Readonly<Record<string, string>> = {
  'noise': '/bin/busybox yes "no frame at all, and no packet" >&4',
  'zeros': 'exec /bin/busybox cat /dev/zero >&4',
  'more data than it was granted': packets,
  'one endless frame': `/bin/busybox printf "\\001\\377\\377\\001\\001\\000\\000\\000\\377\\377\\377\\177" >&4; ${packets}`,
  'credits without end': 's=$(/bin/busybox printf "\\002\\377\\377\\002\\377\\377\\002\\377\\377"); /bin/busybox yes "$s" >&4',
  'silence': 'exec /bin/busybox sleep 1000',
  'all of it, on the console too': '/bin/busybox yes "the console" >&3 & /bin/busybox yes noise >&4',
};

const collect = ((): (() => void) => { setFlagsFromString('--expose-gc'); return runInNewContext('gc') as () => void; })();
/** What is kept when all that can go has gone. */
function kept(): number {
  collect();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

async function start(t: TestContext, script: string, uid: number): Promise<{ readonly it: LaunchTest; readonly record: Awaited<ReturnType<LaunchTest['start']>> }> {
  const it = await openLaunchTest();
  t.after(() => it.close());
  return { it, record: await it.start(script, { uid, descriptors: [{ kind: 'line' }] }) };
}

/** Asks an honest machine over its console, again and again; the longest wait for an answer. */
function askNeighbour(socket: Socket, stop: AbortSignal): Promise<number> {
  return (async () => {
    let longest = 0;
    for (let number = 0; !stop.aborted; number += 1) {
      const began = performance.now();
      socket.write(`${number}\n`);
      await once(socket, 'data');
      longest = Math.max(longest, performance.now() - began);
      await systemClock.wait(20);
    }
    return longest;
  })();
}

for (const [what, script] of Object.entries(attacks)) {
  test(`[J17] a guest's line: ${what}`, async (t) => {
    const neighbour = await start(t, 'while read line <&3; do echo "$line" >&3; done', standInUid);
    const friendly = connect(join(neighbour.it.folder, 'c'));
    await once(friendly, 'connect');
    const { it, record } = await start(t, script, standInUid + 1);
    const line = async () => { const socket = connect(join(it.folder, 'a')); socket.on('error', () => undefined); await once(socket, 'connect'); return socket; };
    const tryOnce = async () => rejects(openAgentConnection(await line(), { clock: systemClock, dice: systemDice, log: silentLog, handshakeMs: 700 }), (error: { code?: string }) => ['agent.timeout', 'agent.protocol', 'agent.gone'].includes(error.code ?? ''));
    await tryOnce(); // what is loaded once is loaded
    const [keeperBefore, before] = [await residentKb(record.keeper.pid), kept()];
    const stop = new AbortController();
    const longest = askNeighbour(friendly, stop.signal);
    for (let round = 0; round < 3; round += 1) await tryOnce();
    // A host that has much to say to one that does not read.
    const talker = await line();
    for (let piece = 0; piece < 32; piece += 1) talker.write(Buffer.alloc(64 * 1024, 'x'));
    await systemClock.wait(300);
    talker.destroy();
    stop.abort();
    ok(await longest < 500, `a neighbour waited ${Math.round(await longest)} ms`);
    const growth = (await residentKb(record.keeper.pid)) - keeperBefore;
    ok(growth < 256, `the keeper grew by ${growth} kB`);
    const more = await waitUntil(() => { const grown = kept() - before; return grown < 5 * MiB && { grown }; }, { what: 'the host keeps nothing', limitMs: 5000 });
    ok(more.grown < 5 * MiB);
    equal(await isAlive(record.keeper), true);
    friendly.destroy();
  });
}
