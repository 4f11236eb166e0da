/** Writes docs/cli.md from the declarations of the verbs: `node tools/generate-cli-docs.ts`. */
import { writeFileSync } from 'node:fs';
import { commandLineDocs } from '../cli/command-line-docs.ts';

writeFileSync(new URL('../docs/cli.md', import.meta.url), commandLineDocs());
