/** Files that decide (plan-*, place-*, check-*, compute-*, *-states) touch nothing: no clock, dice, file, store. */
import { isTestFile, pureFiles, pureModules } from '../../../tools/layers.ts';
import { importsOf } from '../imports-of.ts';
import { sourcesOf, type Guard } from '../project.ts';

const isPure = (file: string): boolean => pureFiles.some((name) => new RegExp(`/${name.replaceAll('.', '\\.').replaceAll('*', '[\\w-]*')}$`).test(file)) && !isTestFile(file);

export const purity: Guard = {
  name: 'files that decide touch nothing',
  find(project) {
    const offences: string[] = [];
    const files = sourcesOf(project).filter(([file]) => file.startsWith('src/') && isPure(file));
    for (const [file, text] of files) {
      for (const { name, typeOnly } of importsOf(file, text, {})) {
        if (!typeOnly && name.startsWith('node:') && !(pureModules as readonly string[]).includes(name)) offences.push(`${file} imports ${name}`);
        if (!typeOnly && name.startsWith('#store')) offences.push(`${file} imports the store`);
      }
      const code = text.replaceAll(/\/\*[^]*?\*\/|\/\/.*$/gm, '');
      for (const [called] of code.matchAll(/\b(Date\.now|Math\.random|performance\.now|new Date\(\)|process\.\w+|await\b)/g)) offences.push(`${file} has ${called}`);
    }
    return { seen: files.length, offences };
  },
  planted: {
    'src/machines/plan-planted.ts': 'export const late = Date.now();',
    'src/machines/place-planted.ts': 'export const any = Math.random();',
    'src/machines/check-planted.ts': 'import { readFileSync } from \'node:fs\';',
    'src/machines/planted-states.ts': 'import { recordsOf } from \'#store\';',
    'src/machines/compute-planted.ts': 'export const env = process.env;',
  },
};
