/**
 * How a service's health is found out. `x-strata.health` asks from outside the container and stands in the
 * place of `healthcheck.test`, whose times still hold; Docker Compose keeps to `healthcheck.test`.
 */
import type { ServiceProbe, ServiceSpec } from '../../app.ts';
import { durationAt, flagAt, keyAt, numberAt, wrong, type ServiceReading } from './service-reading.ts';

export function readHealth(reading: ServiceReading): ServiceSpec['healthcheck'] {
  const check = reading.source.healthcheck;
  const asked = reading.source['x-strata']?.health;
  const disabled = flagAt(reading, check?.disable, 'healthcheck', 'disable') === true || firstOf(check?.test) === 'NONE';
  if (disabled && asked !== undefined) {
    reading.project.report.error(keyAt(reading, 'x-strata', 'health'), 'compose.contradiction', `service ${reading.name} has a health check that is disabled`, 'take away one of them');
    return null;
  }
  if (disabled) return 'none';
  if (check === undefined && asked === undefined) return null;
  const test = asked === undefined ? readTest(reading) : readAsked(reading);
  return test === undefined ? null : { test, ...readTimes(reading) };
}

const firstOf = (test: string | readonly string[] | undefined): string | undefined => (typeof test === 'string' ? undefined : test?.[0]);

function readTest(reading: ServiceReading): ServiceProbe['test'] | undefined {
  const test = reading.source.healthcheck?.test;
  if (test === undefined) {
    reading.project.report.error(keyAt(reading, 'healthcheck'), 'compose.missingKey', `services.${reading.name}.healthcheck lacks test`, 'add `test:`, or ask with x-strata.health; times alone cannot be laid over the check of an image yet');
    return undefined;
  }
  if (typeof test === 'string') {
    if (test.trim() !== '') return { kind: 'command', argv: ['/bin/sh', '-c', test] };
  } else {
    const [kind, ...rest] = test;
    if (kind === 'CMD' && rest.length > 0) return { kind: 'command', argv: rest };
    if (kind === 'CMD-SHELL' && rest.length === 1) return { kind: 'command', argv: ['/bin/sh', '-c', rest[0] as string] };
  }
  wrong(reading, ['healthcheck', 'test'], 'compose.badHealthcheck', 'must be a command', 'write a text, [CMD, program, argument, ...], [CMD-SHELL, text] or [NONE]');
  return undefined;
}

function readAsked(reading: ServiceReading): ServiceProbe['test'] | undefined {
  const { http, tcp } = reading.source['x-strata']?.health ?? {};
  const path = ['x-strata', 'health'];
  if ((http === undefined) === (tcp === undefined)) {
    wrong(reading, path, 'compose.badHealthcheck', 'must ask one thing', 'write http: {port: 80, path: /} or tcp: {port: 5432}');
    return undefined;
  }
  const port = numberAt(reading, (http ?? tcp)?.port, { whole: true, least: 1, most: 65_535 }, ...path, http === undefined ? 'tcp' : 'http', 'port');
  if (port === undefined) return undefined;
  if (http === undefined) return { kind: 'tcp', port };
  const target = http.path ?? '/';
  if (/^\/[\x21-\x7e]{0,1023}$/.test(target)) return { kind: 'http', port, path: target };
  wrong(reading, [...path, 'http', 'path'], 'compose.badPath', `must be a path that begins with /, not ${JSON.stringify(target)}`);
  return undefined;
}

/** Docker's own times where nothing is said, or 0. */
function readTimes(reading: ServiceReading): Omit<ServiceProbe, 'test'> {
  const check = reading.source.healthcheck ?? {};
  const time = (key: 'interval' | 'timeout' | 'start_period' | 'start_interval'): number => durationAt(reading, check[key], 'healthcheck', key) ?? 0;
  return {
    intervalMs: time('interval') || 30_000,
    timeoutMs: time('timeout') || 30_000,
    retries: numberAt(reading, check.retries, { whole: true, most: 1_000_000 }, 'healthcheck', 'retries') || 3,
    startPeriodMs: time('start_period'),
    startIntervalMs: time('start_interval') || 5_000,
  };
}
