/** Each rule of a RULES.md has a test that quotes it, each quoted rule exists, and no two rules have one id. */
import { sourcesOf, type Guard } from '../project.ts';

export const rules: Guard = {
  name: 'rules have tests and tests have rules',
  find(project) {
    const offences: string[] = [];
    const known = new Map<string, string>();
    for (const [file, text] of project) {
      if (!file.endsWith('RULES.md')) continue;
      for (const [, id] of text.matchAll(/^- ([A-Z]{1,2}\d+) /gm)) {
        if (known.has(id as string)) offences.push(`${file}: ${id} is a rule of ${known.get(id as string)} already`);
        known.set(id as string, file);
      }
    }
    const quoted = new Map<string, string>();
    for (const [file, text] of sourcesOf(project)) {
      if (!/\.(test|contract)\.ts$/.test(file)) continue;
      for (const [, , ids] of text.matchAll(/(['"`])((?:\[[A-Z]{1,2}\d+\])+)\s/g)) for (const [, id] of (ids as string).matchAll(/\[(\w+)\]/g)) quoted.set(id as string, file);
    }
    for (const [id, file] of known) if (!quoted.has(id)) offences.push(`${file}: no test quotes [${id}]`);
    for (const [id, file] of quoted) if (!known.has(id)) offences.push(`${file}: quotes [${id}], which no RULES.md has`);
    return { seen: Math.min(known.size, quoted.size), offences };
  },
  planted: {
    'src/base/planted/RULES.md': '- ZZ1 A rule without a test.\n- S1 A rule of somebody else.\n',
    'src/base/planted.test.ts': 'test(\'[ZZ2] a test without a rule\', () => undefined);',
  },
};
