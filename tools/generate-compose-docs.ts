/** Writes docs/compose.md from the conformance table: `node tools/generate-compose-docs.ts`. */
import { writeFileSync } from 'node:fs';
import { conformanceDocument } from '../src/services/compose/conformance/conformance-document.ts';

writeFileSync(new URL('../docs/compose.md', import.meta.url), conformanceDocument());
