/** No file imports itself by way of others, types included: what stands in a circle can only be read, and moved, as one. */
import { doorsOf, importsOf } from '../imports-of.ts';
import { sourcesOf, type Guard } from '../project.ts';

export const circles: Guard = {
  name: 'no file imports itself by way of others',
  find(project) {
    const doors = doorsOf(project.get('package.json') as string);
    const sources = sourcesOf(project).filter(([file]) => !file.startsWith('guest/agent/'));
    const graph = new Map(sources.map(([file, text]) => [file, [...new Set(importsOf(file, text, doors).flatMap(({ target }) => target ?? []))]]));
    return { seen: graph.size, offences: circlesOf(graph).map((circle) => `imports in a circle: ${circle.join(' → ')}`) };
  },
  planted: {
    'src/base/index.ts': 'export { planted } from \'./planted-one.ts\';\nimport type { Planted } from \'#store\';',
    'src/base/planted-self.ts': 'export * from \'./planted-self.ts\';',
    'cli/planted-verbs.ts': 'export const later = () => import(\'./planted-verbs.ts\');',
    'contract/index.ts': 'export type { Client } from \'../client/index.ts\';',
  },
};

/** One circle for each file that closes one, walked from the first file on: none where there is none, and not all there are. */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const found: (readonly string[])[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) found.push([...path.slice(at), file]);
    if (at >= 0 || done.has(file)) return;
    path.push(file);
    for (const next of graph.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return found;
}
