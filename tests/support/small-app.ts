/** A small app of two services, made of Debian's static busybox: `web` serves HTTP, `keep` counts its starts on a volume. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostArchitecture, ociArchitecture, type Architecture } from '#base';
import { busybox } from '../../guest/testing/images.ts';
import { configOf, layerOf, savedArchive } from '../../src/containers/images/testing/make-archive.ts';
import { file, folder, symlink, tarOf } from '../../src/containers/images/testing/make-tar.ts';
import type { TestInstance } from './test-instance.ts';

const applets = ['sh', 'cat', 'echo', 'sleep', 'httpd', 'wget', 'hostname', 'true', 'false', 'test', 'wc', 'sync', 'ls', 'env', 'kill', 'ps', 'nc', 'seq', 'printf', 'id', 'mkdir', 'rm', 'df', 'dd'];

/** Imports an image `small:1` with busybox and a CGI that says who answered; there may be one for each architecture. */
export async function importSmallImage(strata: TestInstance, architecture: Architecture = hostArchitecture): Promise<void> {
  const program = { mode: 0o755 };
  const layer = layerOf(tarOf(
    folder('bin'), folder('www'), folder('www/cgi-bin'), folder('tmp', { mode: 0o1777 }), folder('proc'), folder('sys'), folder('dev'), folder('etc'), folder('data'),
    file('etc/passwd', 'root:x:0:0:root:/:/bin/sh\n'), file('bin/busybox', readFileSync(await busybox(architecture)), program), ...applets.map((name) => symlink(`bin/${name}`, 'busybox')),
    file('www/index.html', 'ok\n'), file('www/cgi-bin/who', '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n%s %s\\n" "$HOSTNAME" "$VERSION"\n', program),
  ));
  const config = configOf([layer], { architecture: ociArchitecture[architecture], config: { Cmd: ['/bin/httpd', '-f', '-p', '80', '-h', '/www'], Env: ['PATH=/bin'] } });
  mkdirSync(strata.folder, { recursive: true });
  const path = join(strata.folder, 'small.tar');
  writeFileSync(path, savedArchive([layer], { config, tags: ['small:1'] }));
  await strata.ok(['image', 'import', path]);
}

export interface SmallAppOptions { readonly port: number; readonly replicas?: number; readonly version?: string }

/** Compose file of the app. */
export function smallApp({ port, replicas = 1, version = '1' }: SmallAppOptions): string {
  return `services:
  web:
    image: small:1
    pull_policy: never
    ports: ["${port}:80"]
    environment: { VERSION: "${version}" }
    stop_grace_period: 1s
    healthcheck: { test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"], interval: 1s, timeout: 5s, retries: 30 }
    deploy: { replicas: ${replicas} }
    restart: unless-stopped
  keep:
    image: small:1
    pull_policy: never
    command: [sh, -c, "trap 'exit 0' TERM; echo start >> /data/starts; sync; while :; do sleep 1 & wait; done"]
    volumes: ["kept:/data"]
    stop_grace_period: 3s
    healthcheck: { test: [CMD, test, -s, /data/starts], interval: 1s, timeout: 5s, retries: 30 }
    restart: unless-stopped
volumes: { kept: {} }
`;
}

/** Lines of the volume's file: one for each start of `keep`. */
export async function startsKept(strata: TestInstance, app: string): Promise<number> {
  const { stdout } = await strata.ok(['exec', '-p', app, '-T', 'keep', 'wc', '-l', '/data/starts']);
  return Number(/^\s*(\d+)/.exec(stdout)?.[1] ?? Number.NaN);
}
