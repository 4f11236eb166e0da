/** The form of files: a header that says what it is, a size one can read, a name that says what is in it. */
import { isTestFile } from '../../../tools/layers.ts';
import { sourcesOf, type Guard } from '../project.ts';

const emptyNames = /(^|[-/])(utils?|helpers?|commons?|misc|managers?|stuff)([-/.]|$)/;
const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|contract|guest\.test|long\.test|guest\.long\.test))?\.ts$/;

export const form: Guard = {
  name: 'files have a header, a readable size and a telling name',
  find(project) {
    const offences: string[] = [];
    const sources = sourcesOf(project);
    for (const [file, text] of sources) {
      if (!/^(#!.*\n)?\/(\*\*|\/)/.test(text)) offences.push(`${file} has no header comment`);
      const lines = text.split('\n').length;
      const limit = isTestFile(file) ? 600 : 400;
      if (lines > limit) offences.push(`${file} has ${lines} lines, more than ${limit}`);
      if (emptyNames.test(file)) offences.push(`${file}: the name says nothing; a function goes to the noun it serves`);
      const name = file.split('/').at(-1) as string;
      if (!kebab.test(name) && !/^\d{3}-/.test(name)) offences.push(`${file}: names are kebab-case`);
    }
    return { seen: sources.length, offences };
  },
  planted: {
    'src/base/planted-bare.ts': 'export const x = 1;',
    'src/base/planted-long.ts': `/** Long. */\n${'export {};\n'.repeat(400)}`,
    'src/base/string-utils.ts': '/** Dump. */',
    'src/base/plantedCamel.ts': '/** Camel. */',
  },
};
