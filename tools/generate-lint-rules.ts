/** Writes .oxlintrc.json from the list of layers: `node tools/generate-lint-rules.ts`. */
import { writeFileSync } from 'node:fs';
import { lintConfiguration } from './lint-rules.ts';

writeFileSync(new URL('../.oxlintrc.json', import.meta.url), `${JSON.stringify(lintConfiguration(), null, 2)}\n`);
