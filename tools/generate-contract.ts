/** Writes contract/openapi.json from the routes: `node tools/generate-contract.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { openApiDocument } from '../contract/document.ts';

const root = new URL('../', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { version: string };
writeFileSync(new URL('contract/openapi.json', root), `${JSON.stringify(openApiDocument(version), null, 2)}\n`);
