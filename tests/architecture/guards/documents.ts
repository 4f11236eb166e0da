/** What documents name exists: files of the project, and verbs of the command. */
import { posix } from 'node:path';
import { verbs } from '../../../cli/command-tree.ts';
import type { Guard } from '../project.ts';

const written = /(?<![\w/.-])((?:src|docs|tools|tests|contract|client|cli|guest|bench|examples)\/[\w./-]*[\w-]\.(?:ts|mjs|md|json|yaml|c))\b/g;
const names: ReadonlySet<string> = new Set(verbs.flatMap((verb) => [verb.name, verb.name.split(' ').slice(0, 2).join(' ')]));
const nouns: ReadonlySet<string> = new Set(verbs.map((verb) => verb.name.split(' ')[0] as string));
/** Made by hand runs, or as an example. */
const mayMiss = new Set(['bench/results.json', 'hello/compose.yaml']);

export const documents: Guard = {
  name: 'documents name files and verbs that exist',
  find(project) {
    const offences: string[] = [];
    let seen = 0;
    for (const [file, text] of project) {
      if (!file.endsWith('.md')) continue;
      for (const [, path] of text.matchAll(written)) {
        seen += 1;
        const beside = posix.normalize(posix.join(posix.dirname(file), path as string));
        if (!project.has(path as string) && !project.has(beside) && !mayMiss.has(path as string)) offences.push(`${file} names ${path}, which is not there`);
      }
      for (const [, verb, sub] of text.matchAll(/(?:`|\.\/)strata ([a-z]+)(?: ([a-z]+))?/g)) {
        seen += 1;
        if (!nouns.has(verb as string)) offences.push(`${file} has \`strata ${verb}\`, which is no verb`);
        else if (!names.has(verb as string) && sub !== undefined && !names.has(`${verb} ${sub}`)) offences.push(`${file} has \`strata ${verb} ${sub}\`, which is no verb`);
      }
    }
    return { seen, offences };
  },
  planted: { 'docs/planted-file.md': 'See src/base/not-there.ts.', 'docs/planted-verb.md': 'Say `strata frobnicate` to it.', 'docs/planted-sub.md': 'Say `strata host frobnicate`.' },
};
