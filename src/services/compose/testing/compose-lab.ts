/** A folder with files, read as a Compose project; for the tests of this folder. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { StrataError } from '#base';
import type { ServiceSpec } from '../../app.ts';
import { readComposeApp, type ComposeApp, type ComposeRequest } from '../read-compose-app.ts';
import type { ComposeDiagnostic } from '../report.ts';

export interface ComposeLab extends Disposable {
  readonly folder: string;
  read(request?: Partial<ComposeRequest>): Promise<ComposeApp>;
  service(name: string, request?: Partial<ComposeRequest>): Promise<ServiceSpec>;
  /** `compose.yaml:3:5 compose.unknownKey message` of each error; [] where it could be read. */
  errors(request?: Partial<ComposeRequest>): Promise<string[]>;
  warnings(request?: Partial<ComposeRequest>): Promise<string[]>;
}

export function composeLab(files: Readonly<Record<string, string | Buffer>> | string): ComposeLab {
  const folder = mkdtempSync(join(tmpdir(), 'strata-compose-'));
  for (const [name, text] of Object.entries(typeof files === 'string' ? { 'compose.yaml': files } : files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const read = (request: Partial<ComposeRequest> = {}): Promise<ComposeApp> => readComposeApp({ workingDir: folder, files: [], envFiles: [], profiles: [], env: {}, ...request });
  const lineOf = (one: ComposeDiagnostic): string => `${relative(folder, one.file)}:${one.line}:${one.column} ${one.code} ${one.message.replaceAll(folder, '.')}`;
  return {
    folder, read,
    async service(name, request) {
      const { app } = await read(request);
      const found = app.services.find((one) => one.name === name);
      if (found === undefined) throw new Error(`no service ${name}; there are ${app.services.map((one) => one.name).join(', ')}`);
      return found;
    },
    async errors(request) {
      try {
        await read(request);
        return [];
      } catch (thrown) {
        if (!(thrown instanceof StrataError) || thrown.kind !== 'invalid') throw thrown;
        const found = thrown.details?.['diagnostics'] as readonly ComposeDiagnostic[] | undefined;
        return found === undefined ? [`${thrown.code} ${thrown.message.replaceAll(folder, '.')}`] : found.filter((one) => one.severity === 'error').map(lineOf);
      }
    },
    async warnings(request) { return (await read(request)).warnings.map(lineOf); },
    [Symbol.dispose]() { rmSync(folder, { recursive: true, force: true }); },
  };
}
