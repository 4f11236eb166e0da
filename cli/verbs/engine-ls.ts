/** `strata engine ls` */
import { printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listEngines');
  await printList(context.out, items, {
    name: (engine) => engine.name,
    columns: [
      { head: 'NAME', value: (engine) => engine.name },
      { head: 'VERSION', value: (engine) => engine.version ?? '' },
      { head: 'ARCHITECTURES', value: (engine) => engine.architectures.join(', ') },
      { head: 'PROVED', value: (engine) => (engine.proofs.length === 0 ? 'not yet' : engine.proofs.filter((one) => one.works).map((one) => `${one.architecture}/${one.accelerator}`).join(', ') || 'nothing') },
      { head: 'ISOLATION', value: (engine) => engine.isolation.join(', ') },
      { head: 'CANNOT', atMost: 60, value: (engine) => engine.abilities.filter((one) => !one.can).map((one) => one.ability).join(', ') },
    ],
  }, options);
  return exitCodes.ok;
}
