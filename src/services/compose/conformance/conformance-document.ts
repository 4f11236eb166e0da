/** docs/compose.md, made from the conformance table. */
import type { ConformanceRow } from './row.ts';
import { conformance } from './table.ts';

const parts: readonly (readonly [string, RegExp])[] = [
  ['Top level', /^(?!services\.\*\.)/],
  ['Services', /^services\.\*\.(?!build\.|deploy\.)/],
  ['Services: build', /^services\.\*\.build\./],
  ['Services: deploy', /^services\.\*\.deploy\./],
];

export function conformanceDocument(): string {
  const count = (state: ConformanceRow['state']): number => conformance.filter((row) => row.state === state).length;
  const head = `# Compose files in Strata

<!-- Made by \`node tools/generate-compose-docs.ts\`; do not edit. -->

Every key of the Compose specification is honoured or refused; none is ignored. A refused key is an error with its file, line and column,
and nothing is changed. Of ${conformance.length} keys, ${count('honoured')} are **honoured**, ${count('partly')} **partly** (within what the note says; beyond it there is an error or a warning) and
${count('refused')} **refused**. Each row is proved by a test that bears its name, such as
\`[C20] services.*.cpu_shares is refused\` (\`src/services/compose/conformance/conformance.test.ts\`).

Files are found, merged (\`compose.override.yaml\`, several \`-f\`, \`!reset\`, \`!override\`), extended, included and filled with variables
(\`\${NAME:-default}\`, \`.env\`) as the specification says. Keys that begin with \`x-\` are left alone, but \`x-strata\`, which is ours, is checked strictly;
a file that uses it is still a file for Docker Compose.
`;
  return `${[head, ...parts.map(([title, pattern]) => section(title, conformance.filter((row) => pattern.test(row.key))))].join('\n')}`;
}

function section(title: string, rows: readonly ConformanceRow[]): string {
  const lines = rows.toSorted((a, b) => (a.key < b.key ? -1 : 1)).map((row) => `| \`${row.key}\` | ${row.state} | ${noteOf(row)} |`);
  return `## ${title}\n\n| key | state | note |\n|---|---|---|\n${lines.join('\n')}\n`;
}

function noteOf(row: ConformanceRow): string {
  const harmless = row.harmless.length === 0 ? '' : `; ${row.harmless.map((one) => `\`${JSON.stringify(one)}\``).join(', ')} is let through`;
  const advice = row.advice === '' ? '' : ` (${row.advice})`;
  return `${row.note}${row.state === 'refused' ? `${advice}${harmless}` : ''}`.replaceAll('|', '\\|');
}
