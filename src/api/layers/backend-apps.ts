/** Apps: Compose files in, operations out. What is wrong with a file is said before anything is begun. */
import { newId, StrataError } from '#base';
import type { App, AppPut, AppResolve, Operation } from '#contract';
import type { UserOperation } from '#reconcile';
import { TooLargeError } from '#pool';
import { readComposeApp, renderYaml, type BringUpRequest, type ComposeApp } from '#services';
import type { Backend } from '../backend.ts';
import { listContainers } from './backend-containers.ts';
import { upBody, downBody, type DownInput, type UpInput } from './app-operations.ts';
import type { Layers } from './layers.ts';
import { mergeLogs } from './merge-logs.ts';
import { showApp } from './show-app.ts';
import { previewOperation, showOperation } from './show-operation.ts';

export function appsBackend(layers: Layers): Backend['apps'] {
  const { services, operations } = layers;

  async function views(): Promise<readonly App[]> {
    const [apps, statuses, places, specs, states] = await Promise.all([services.apps.list(), services.statuses.list(), services.places.list(), layers.containers.specs.list(), layers.containers.statuses.list()]);
    return apps.map((entry) => showApp({
      record: entry.value, revision: entry.revision, status: statuses.find((one) => one.id === entry.id)?.value,
      members: specs.filter((one) => one.value.appId === entry.id).map((one) => ({ spec: one.value, status: states.find((state) => state.id === one.id)?.value })),
      places: places.map((one) => one.value).filter((one) => one.appId === entry.id), hostsPort: layers.hostsPort,
    }));
  }

  async function get(name: string): Promise<App> {
    const found = (await views()).find((one) => one.name === name);
    if (found === undefined) throw new StrataError(`there is no app ${name}`, { code: 'app.notFound', kind: 'notFound', advice: 'see `strata app ls`' });
    return found;
  }

  async function change(action: 'stop' | 'start' | 'restart', name: string, chosen: readonly string[]): Promise<Operation> {
    const app = await services.findApp(name);
    services.checkServices(app, chosen);
    return showOperation(await operations.start(`app.${action}`, name, async (run) => services.change(action, name, chosen, run.signal, run), { exclusive: true }));
  }

  return {
    list: views, get,
    resolve: async (request) => showResolved(await read(request, request.projectName)),
    async up(name, request) {
      const file = await read(request, name, request.services);
      const { app, warnings } = file;
      const input: UpInput = upInput(newId('app', layers.dice), app, request);
      if (request.dryRun) return previewOperation(newId('operation', layers.dice), name, await services.preview(input.request).catch(atItsPlace(file)), layers.clock.now());
      const running = await sameRunning(name, input);
      if (running !== undefined) return showOperation(running);
      const bringUp = upBody(layers, input, warnings.map((one) => `${one.file}:${one.line}: ${one.message}`));
      return showOperation(await operations.start('app.up', name, (run) => bringUp(run).catch(atItsPlace(file)), { input, exclusive: true }));
    },
    async down(name, options) {
      const input: DownInput = { name, volumes: options.volumes, ...(options.timeoutSeconds === undefined ? {} : { timeoutSeconds: options.timeoutSeconds }) };
      const known = (await services.apps.list()).some((one) => one.value.name === name);
      const orphaned = options.volumes && (await layers.containers.volumes.list()).some((one) => one.value.appName === name);
      if (!known && !orphaned) await get(name);
      // Taking down wins over bringing up: what is still under way is asked to end first.
      for (const one of await operations.list({ subject: name })) if (one.endedAt === null) await operations.cancel(one.id).then(() => operations.wait(one.id, AbortSignal.timeout(30_000)));
      return showOperation(await operations.start('app.down', name, downBody(layers, input), { input, exclusive: true }));
    },
    start: (name, action) => change('start', name, action.services),
    stop: (name, action) => change('stop', name, action.services),
    restart: (name, action) => change('restart', name, action.services),
    async containers(name) {
      const app = await services.findApp(name);
      return listContainers(layers, (spec) => spec.appId === app.id);
    },
    async logs(name, query, signal) {
      const app = await services.findApp(name);
      services.checkServices(app, query.services);
      const specs = (await layers.containers.specs.list()).map((one) => one.value).filter((one) => one.appId === app.id && (query.services.length === 0 || query.services.includes(one.service)));
      return mergeLogs(layers.containers, specs, query, signal);
    },
  };

  /** The very same `up` that runs already is followed, not refused: a person who asks twice wants it once. */
  async function sameRunning(name: string, input: UpInput): Promise<UserOperation | undefined> {
    const running = (await operations.list({ subject: name })).filter((one) => one.endedAt === null && one.kind === 'app.up');
    const asked = (one: UpInput) => JSON.stringify({ ...one.request, appId: '' });
    return running.find((one) => typeof one.input === 'object' && one.input !== null && asked(one.input as UpInput) === asked(input));
  }
}

function read(request: AppResolve | AppPut, projectName: string | undefined, services: readonly string[] = []): Promise<ComposeApp> {
  return readComposeApp({ workingDir: request.workingDir, files: request.files, envFiles: request.envFiles, profiles: request.profiles, env: request.env, services, ...(projectName === undefined ? {} : { projectName }) });
}

/** What no host could ever carry is the file's fault. */
function atItsPlace(file: ComposeApp): (thrown: unknown) => never {
  return (thrown) => {
    if (!(thrown instanceof TooLargeError)) throw thrown;
    const { message, code, kind, advice, details, architecture, short } = thrown;
    throw new StrataError(message, { code, kind, ...(advice === undefined ? {} : { advice }), ...(details === undefined ? {} : { details }), cause: thrown, place: file.placeOf({ short, architecture }) });
  };
}

function upInput(appId: string, app: BringUpRequest['app'], request: AppPut): UpInput {
  return {
    request: {
      app, appId, services: request.services, removeOrphans: request.removeOrphans,
      ...(request.forceRecreate ? { recreate: request.services } : {}), ...(request.pull === undefined ? {} : { pull: request.pull }),
    },
    waitMs: request.timeoutSeconds * 1000,
  };
}

function showResolved({ app, warnings, document }: ComposeApp) {
  return {
    name: app.name, services: app.services.map((one) => one.name), volumes: app.volumes.map((one) => one.name), images: [...new Set(app.services.map((one) => one.image.reference))],
    yaml: renderYaml(document), warnings: warnings.map((one) => ({ severity: 'warning' as const, code: one.code, file: one.file, line: one.line, column: one.column, message: one.message, advice: one.advice })),
  };
}
