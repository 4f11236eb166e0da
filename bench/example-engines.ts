/**
 * The example's x86 services under each engine, and what `auto` takes for each of them where the file accepts UML and says
 * what the service does (`workload: requests`): the page of nginx, an entry list through nginx, API and Redis, and Redis
 * alone by its own benchmark program. Requests a second; more is better. The rounds of the engines are in turn, each in an app
 * that came up anew. The bar: `auto` takes the faster one, or either where neither is a fifth ahead.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { runProcess } from '#base';
import { awaitQuiet, inTurn, loadNow, median, report, round, rounds } from './harness/measure.ts';
import { exampleCompose, openStrataApp, untilAnswer, type ComposeFile } from './harness/strata-app.ts';

const port = 28_483;
const [seconds, connections] = [4, 8];
const services = ['web', 'api', 'db'] as const;
type Service = (typeof services)[number];
const engines = ['qemu', 'uml'] as const;
type EngineName = (typeof engines)[number];
const alike = 1.2;

/** The example with these words under every service's x-strata. */
function withWords(file: ComposeFile, words: Readonly<Record<string, unknown>>): ComposeFile {
  return { ...file, services: Object.fromEntries(Object.entries(file.services).map(([name, service]) => [name, { ...service, 'x-strata': { ...service['x-strata'] as object | undefined, ...words } }])) };
}

const base = await exampleCompose(port, false);
const app = await openStrataApp('bee', 190, base);
const folder = join(app.own.folder, 'guestbook');

async function up(words: Readonly<Record<string, unknown>>): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'compose.yaml'), stringify(withWords(base, words)));
  await untilAnswer(`http://127.0.0.1:${port}/api/entries`, async () => { await app.strata(['up', folder]); });
}

async function perSecond(path: string): Promise<number> {
  const { stdout } = await runProcess(['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, `http://127.0.0.1:${port}${path}`], { timeoutMs: 60_000 });
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`requests failed: ${stdout}`);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
}

async function redisPerSecond(): Promise<number> {
  const csv = await app.strata(['exec', '-T', '-p', 'guestbook', 'db', 'redis-benchmark', '--csv', '-t', 'set,get', '-n', '4000', '-c', String(connections)]);
  const figures = [...csv.matchAll(/^"(?:SET|GET)","([\d.]+)"/gm)].map(([, figure]) => Number(figure));
  return figures.reduce((sum, one) => sum + one, 0) / figures.length;
}

const measured = { web: { qemu: [], uml: [] }, api: { qemu: [], uml: [] }, db: { qemu: [], uml: [] } } as Record<Service, Record<EngineName, number[]>>;
try {
  await app.up(); // the images
  await app.down();
  await awaitQuiet();
  const load = loadNow();
  await inTurn(engines, rounds(4), async (engine) => {
    await up({ engine });
    await awaitQuiet(15_000);
    measured.web[engine].push(await perSecond('/'));
    measured.api[engine].push(await perSecond('/api/entries'));
    measured.db[engine].push(await redisPerSecond());
    await app.down();
    return 0;
  });
  await up({ least_isolation: 'process', workload: 'requests' });
  const taken = new Map((JSON.parse(await app.strata(['ps', '-p', 'guestbook', '-o', 'json'])) as { items: { service: string; engine: EngineName }[] }).items.map(({ service, engine }) => [service, engine]));
  for (const service of services) {
    const figures = { qemu: median(measured[service].qemu), uml: median(measured[service].uml) };
    const engine = taken.get(service) ?? 'qemu';
    const other = engines.find((one) => one !== engine) ?? 'uml';
    report({
      bench: `the example's ${service} where auto takes ${engine}`, unit: 'requests/s', strata: round(figures[engine], 0), rival: `the same under ${other}`, rivalValue: round(figures[other], 0), ratio: round(figures[engine] / figures[other], 2),
      bar: `the faster, or either within ${alike} ×`, met: figures[engine] * alike >= figures[other], rounds: measured[service].qemu.length, load,
    });
  }
} finally {
  await app[Symbol.asyncDispose]();
}
