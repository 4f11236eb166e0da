/** `strata app ls` */
import { printList } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, options }: Invocation): Promise<number> {
  const { items } = await (await context.client()).call('listApps');
  await printList(context.out, items, {
    name: (app) => app.name,
    columns: [
      { head: 'NAME', value: (app) => app.name },
      { head: 'STATUS', atMost: 40, value: (app) => `${app.state}${app.why === '' ? '' : `: ${app.why}`}` },
      { head: 'SERVICES', value: (app) => `${app.services.filter((one) => one.state === 'running' || one.state === 'completed').length}/${app.services.length}` },
      { head: 'ADDRESSES', value: (app) => app.addresses.map((address) => address.url).join(', ') },
      { head: 'FOLDER', wide: true, value: (app) => app.workingDir },
      { head: 'UPDATED', wide: true, value: (app) => app.updatedAt },
    ],
  }, options);
  return exitCodes.ok;
}
