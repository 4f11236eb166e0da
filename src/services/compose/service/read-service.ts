/** From a service as written to the specification that everything above works on: long, complete, with defaults. */
import type { ServiceSpec } from '../../app.ts';
import { readEnvironment, readLabels } from './read-environment.ts';
import { readFiles } from './read-files.ts';
import { readHealth } from './read-health.ts';
import { readArchitecture, readImage } from './read-image.ts';
import { readMounts } from './read-mounts.ts';
import { readAliases, readDependencies, readDns, readExtraHosts, readHostname } from './read-network.ts';
import { readExpose, readPorts } from './read-ports.ts';
import { readLimits, readReplicas, readReservations, readRestart, readSysctls, readUlimits } from './read-resources.ts';
import { readStart } from './read-start.ts';
import { bytesAt, containerPathAt, durationAt, flagAt, keyAt, wordsAt, wrong, type ServiceReading } from './service-reading.ts';

const defaultShmBytes = 64 * 1024 ** 2;
const defaultGraceMs = 10_000;

/** Undefined only where what is wrong has been reported. */
export async function readService(reading: ServiceReading): Promise<ServiceSpec | undefined> {
  const { source, name } = reading;
  const architecture = readArchitecture(reading);
  const image = await readImage(reading);
  const { mounts, files } = await readMounts(reading);
  const granted = [...await readFiles(reading, 'configs'), ...await readFiles(reading, 'secrets')];
  const spec: Omit<ServiceSpec, 'image' | 'architecture'> = {
    name,
    command: readCommand(reading, 'command'), entrypoint: readCommand(reading, 'entrypoint'),
    environment: await readEnvironment(reading), labels: await readLabels(reading),
    workingDir: readWorkingDir(reading), user: readUser(reading), groupAdd: (source.group_add ?? []).map(String), hostname: readHostname(reading),
    replicas: readReplicas(reading), ports: readPorts(reading), expose: readExpose(reading),
    mounts, files: [...files, ...granted],
    dependsOn: readDependencies(reading), healthcheck: readHealth(reading), restart: readRestart(reading),
    limits: readLimits(reading), reservations: readReservations(reading),
    readOnly: flagAt(reading, source.read_only, 'read_only') ?? false, init: flagAt(reading, source.init, 'init') ?? false,
    tty: flagAt(reading, source.tty, 'tty') ?? false, privileged: flagAt(reading, source.privileged, 'privileged') ?? false,
    capAdd: readCapabilities(reading, 'cap_add'), capDrop: readCapabilities(reading, 'cap_drop'),
    stopGraceMs: durationAt(reading, source.stop_grace_period, 'stop_grace_period') ?? defaultGraceMs, stopSignal: readSignal(reading),
    sysctls: readSysctls(reading), ulimits: readUlimits(reading), shmBytes: bytesAt(reading, source.shm_size, 'shm_size') || defaultShmBytes,
    extraHosts: readExtraHosts(reading), dns: readDns(reading), aliases: readAliases(reading),
    engine: source['x-strata']?.engine ?? 'auto', isolation: source['x-strata']?.isolation ?? 'shared', ...readEngineHints(reading), ...readStart(reading, mounts),
  };
  checkLogging(reading);
  warnNotYet(reading, spec);
  return image === undefined || architecture === undefined ? undefined : { ...spec, image, architecture };
}

/** null: the image's own. An empty one takes the image's away. */
function readCommand(reading: ServiceReading, key: 'command' | 'entrypoint'): readonly string[] | null {
  return wordsAt(reading, reading.source[key], key);
}

function readWorkingDir(reading: ServiceReading): string | null {
  const { working_dir: written } = reading.source;
  if (written === undefined) return null;
  return written === '/' ? written : containerPathAt(reading, written, 'working_dir') ?? null;
}

function readUser(reading: ServiceReading): string | null {
  const { user } = reading.source;
  if (user === undefined) return null;
  if (!/^[a-zA-Z0-9_][\w.-]{0,63}(:[a-zA-Z0-9_][\w.-]{0,63})?$/.test(user)) wrong(reading, ['user'], 'compose.badName', `must be a name or a number, with a group or without, not ${JSON.stringify(user)}`);
  return user;
}

/** Left out where the file says nothing: a service whose file did not change is not made anew. */
function readEngineHints({ source }: ServiceReading): Pick<ServiceSpec, 'leastIsolation' | 'workload'> {
  const { least_isolation: leastIsolation, workload } = source['x-strata'] ?? {};
  return { ...(leastIsolation === undefined ? {} : { leastIsolation }), ...(workload === undefined ? {} : { workload }) };
}

function readSignal(reading: ServiceReading): string | null {
  const { stop_signal: written } = reading.source;
  if (written === undefined) return null;
  const signal = written.toUpperCase();
  if (/^\d{1,2}$/.test(signal) && Number(signal) >= 1 && Number(signal) <= 64) return signal;
  if (/^(SIG)?[A-Z][A-Z0-9+-]{1,9}$/.test(signal)) return signal.startsWith('SIG') ? signal : `SIG${signal}`;
  wrong(reading, ['stop_signal'], 'compose.badName', `is no signal: ${JSON.stringify(written)}`, 'write SIGTERM, SIGINT, SIGQUIT, ...');
  return null;
}

function readCapabilities(reading: ServiceReading, key: 'cap_add' | 'cap_drop'): string[] {
  return [...new Set((reading.source[key] ?? []).map((written, index) => {
    if (!/^[a-zA-Z_]{3,40}$/.test(written)) wrong(reading, [key, index], 'compose.badName', `is no capability: ${JSON.stringify(written)}`, 'write NET_ADMIN, SYS_TIME, ... or ALL');
    return written.toUpperCase().replace(/^CAP_/, '');
  }))];
}

/** Logs are always kept for `strata logs`; nothing carries them elsewhere yet. */
function checkLogging(reading: ServiceReading): void {
  if (Object.keys(reading.source.logging?.options ?? {}).length > 0) reading.project.report.warn(keyAt(reading, 'logging', 'options'), 'compose.notYet', `services.${reading.name}.logging.options has no effect: the last 2 MiB of each container's log are kept`, 'take the options out');
  const driver = reading.source.logging?.driver;
  if (driver !== undefined && !['json-file', 'local'].includes(driver)) wrong(reading, ['logging', 'driver'], 'compose.refused', `cannot be ${JSON.stringify(driver)}`, 'leave it out: `strata logs` shows what is kept');
}

/** Keys that the specification of the app carries, and nothing below obeys yet. */
function warnNotYet(reading: ServiceReading, spec: Pick<ServiceSpec, 'dependsOn'>): void {
  const { report } = reading.project;
  for (const { service } of spec.dependsOn.filter((one) => one.restart)) report.warn(keyAt(reading, 'depends_on', service, 'restart'), 'compose.notYet', `${reading.name} is not restarted with ${service} yet`, `restart both: \`strata restart ${service} ${reading.name}\``);
}
