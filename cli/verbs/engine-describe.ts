/** `strata engine describe` */
import type { Engine } from '#client';
import { inert } from '../explain.ts';
import { formatOf, lines, printValue } from '../print-list.ts';
import { exitCodes, type Invocation } from '../verb.ts';

export async function run({ context, args, options }: Invocation): Promise<number> {
  const engine = await (await context.client()).call('getEngine', { params: { engine: args[0] as string } });
  const format = formatOf(options);
  if (format === 'table' || format === 'wide') context.out.write(lines(describe(engine).map(inert)));
  else if (format === 'name') context.out.write(`${engine.name}\n`);
  else await printValue(context.out, engine, format);
  return exitCodes.ok;
}

/** Pure. */
export function describe(engine: Engine): readonly string[] {
  const proofs = engine.proofs.map((one) => `  ${one.works ? 'runs' : 'does not run'} ${one.architecture} by ${one.accelerator}, isolation ${one.isolation}: ${one.evidence}`);
  return [
    `${engine.name}${engine.version === null ? '' : ` (${engine.version})`}`,
    ...(engine.architectures.length === 0 ? ['  is not installed here'] : []),
    ...(proofs.length === 0 ? ['  nothing is proved of it yet: a first machine, or `strata doctor`, proves it'] : proofs),
    ...engine.figures.map((one) => `  costs on ${one.architecture} by ${one.accelerator}: ${one.stepNanos.toPrecision(3)} ns for a step of user code, ${one.callNanos.toPrecision(3)} ns for a system call, ${one.forkMicros.toPrecision(3)} µs for a process`),
    `  gives a machine at most ${engine.most.processors} ${engine.most.processors === 1 ? 'processor' : 'processors'} and ${engine.most.disks} disks`,
    'can', ...engine.abilities.filter((one) => one.can).map((one) => `  ${one.summary} (${one.ability})`),
    ...(engine.abilities.every((one) => one.can) ? [] : ['cannot', ...engine.abilities.filter((one) => !one.can).map((one) => `  ${one.summary} (${one.ability}): ${one.reason}`)]),
  ];
}
