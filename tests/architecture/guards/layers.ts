/** Direction and doors: downward only, another layer by its door, side doors for bin and tests, no own door. */
import { besideLayers, exceptions, isTestFile, layerOf, rankOf, sharedDoors, type Layer } from '../../../tools/layers.ts';
import { doorsOf, importsOf, type Import } from '../imports-of.ts';
import { sourcesOf, type Guard } from '../project.ts';

export const layers: Guard = {
  name: 'layers import downward and enter by doors',
  find(project) {
    const doors = doorsOf(project.get('package.json') as string);
    const offences: string[] = [];
    let seen = 0;
    for (const [file, text] of sourcesOf(project)) {
      for (const one of importsOf(file, text, doors)) {
        seen += 1;
        const why = layerOf(file) === undefined ? wrongBeside(file, one) : wrongInLayer(file, layerOf(file) as Layer, one);
        if (why !== undefined && !exceptions.some(({ from, to }) => from === file && to === one.name)) offences.push(`${file} → ${one.name}: ${why}`);
      }
    }
    return { seen, offences };
  },
  planted: {
    'src/store/planted-up.ts': 'import { openMachines } from \'#machines\';',
    'src/store/planted-type.ts': 'import type { Machine } from \'#machines\';',
    'src/store/planted-dynamic.ts': 'export const later = () => import(\'#machines\');',
    'src/store/planted-export.ts': 'export { openMachines } from \'#machines\';',
    'src/services/planted-past-door.ts': 'import { place } from \'../pool/place-machine.ts\';',
    'src/services/planted-side-door.ts': 'import { openSqliteStore } from \'#store/sqlite\';',
    'src/services/planted-own-door.ts': 'import { openServices } from \'#services\';',
    'src/pool/planted-contract.ts': 'import { routes } from \'#contract\';',
    'cli/planted-server.ts': 'import { openStore } from \'#store\';',
    'client/planted-path.ts': 'import { x } from \'../src/base/ids.ts\';',
    'contract/planted-client.ts': 'import { x } from \'#client\';',
  },
};

function wrongInLayer(file: string, layer: Layer, { name, target }: Import): string | undefined {
  if (target === undefined) return undefined;
  const shared = (sharedDoors as Readonly<Record<string, readonly Layer[]>>)[name];
  if (shared !== undefined) return isTestFile(file) || shared.includes(layer) ? undefined : `${layer} does not know it`;
  const aimed = layerOf(target);
  if (aimed === undefined) return isTestFile(file) ? undefined : 'leads out of src';
  if (aimed === layer) return name === `#${layer}` ? 'a layer does not import its own door' : undefined;
  if (rankOf(aimed) > rankOf(layer)) return `${aimed} is above ${layer}`;
  if (!name.startsWith('#')) return 'goes past the door';
  return name.includes('/') && layer !== 'bin' && !isTestFile(file) ? 'side doors are for bin and tests' : undefined;
}

/** Folders beside src; tools, bench and tests may import everything. */
function wrongBeside(file: string, { name, target }: Import): string | undefined {
  const folder = Object.keys(besideLayers).find((one) => file.startsWith(`${one}/`));
  if (folder === undefined || target === undefined || isTestFile(file)) return undefined;
  if (name.startsWith('#')) return (besideLayers as Readonly<Record<string, readonly string[]>>)[folder]?.includes(name) === true ? undefined : `${folder} may not know it`;
  return target.startsWith('src/') ? `${folder} imports nothing of src` : undefined;
}
