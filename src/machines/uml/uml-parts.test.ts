/** The UML driver's pure parts. */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { test } from 'node:test';
import type { MachineDisk } from '../machine.ts';
import { testMachine } from '../testing/test-daemon.ts';
import { checkSpec, maxDisks } from './check-spec.ts';
import { umlCommand } from './command-line.ts';
import { freeDevice, pluggedDisks, ubdArgument } from './disk-names.ts';
import { endOfUml } from './end-of-uml.ts';
import { findLoopsPerJiffy } from './loops-per-jiffy.ts';

const disk = (serial: string, more: Partial<MachineDisk> = {}): MachineDisk => ({ serial, path: `/d/${serial}`, format: 'raw', readOnly: false, ...more });

test('[U1] each descriptor the command line names is the one that is handed in; no path of the host stands in it', () => {
  const spec = testMachine({ engine: 'uml', disks: [disk('a', { readOnly: true })] });
  const command = umlCommand(spec, { tap: 'tap7', scratch: '/state/scratch.raw', loopsPerJiffy: 1234, measure: false });
  const fd = (index: number): number => 3 + index;
  deepEqual(command.descriptors, [{ kind: 'console' }, { kind: 'line' }, { kind: 'plain-tap', name: 'tap7' }]);
  for (const wanted of [`con0=fd:${fd(0)},fd:${fd(0)}`, `ssl0=fd:${fd(1)},fd:${fd(1)}`, 'ubdarcd=/disks/a,,a', 'ubdbd=/disks/scratch,,scratch', 'strata.scratch=disk', 'pty.legacy_count=0', 'lpj=1234']) ok(command.argv.includes(wanted), wanted);
  ok(command.argv.some((one) => one.startsWith(`vec0:transport=fd,fd=${fd(2)},`)));
  ok(command.argv.every((one) => !one.includes('/state') && !one.includes('/d/')));
  deepEqual(command.mounted.disks.map((one) => one.name), ['a', 'scratch']);
});

test('[U21] a guest that has halted has ended well, also where UML aborts behind it; any other end is told as it is', () => {
  const end = (code: number | null, signal: string | null = null) => ({ code, signal, stderr: '', at: 1 });
  const said = 'Run /init as init process\nreboot: System halted\n';
  deepEqual(endOfUml(end(134), said), end(0));
  for (const [exit, console] of [[end(134), 'Kernel panic - not syncing: no init\n'], [end(134), `${said}Kernel panic - not syncing\n`], [end(139), said], [end(null, 'SIGKILL'), said], [end(134), '']] as const) equal(endOfUml(exit, console), exit);
});

test('[U2] what the engine cannot do is refused with the reason before anything is made', () => {
  const refuses = (changes: Parameters<typeof testMachine>[0], words: RegExp): void => throws(() => checkSpec(testMachine(changes), ['x86_64']), (error: Error) => words.test(error.message));
  refuses({ architecture: 'aarch64' }, /x86_64 only/);
  refuses({ boot: { kind: 'disk' } }, /no firmware/);
  refuses({ processors: 2 }, /UML has one/);
  refuses({ disks: Array.from({ length: maxDisks + 1 }, (_, at) => disk(`d${at}`)) }, /takes 15/);
  refuses({ disks: [disk('q', { format: 'qcow2' })] }, /raw disks only/);
  refuses({ disks: [disk('a'), disk('a')] }, /one serial/);
  checkSpec(testMachine({ disks: [disk('a')] }), ['x86_64']);
});

test('[U3] no text of a disk becomes an option', () => {
  throws(() => ubdArgument('ubda', { serial: 'a,/etc/passwd', readOnly: true }), RangeError);
});

test('[U3] what is plugged is read from UML\'s own answers; its first device has a file even where nobody gave one', () => {
  const answers = ['root_fs', '/disks/web', '/etc/passwd', '', ...Array.from({ length: 12 }, () => '')];
  deepEqual([...pluggedDisks(answers)], [['web', 'ubdb']]);
  equal(freeDevice(answers), 'ubdd');
  equal(freeDevice(Array.from({ length: 16 }, () => '/disks/x')), undefined);
});

test('[U4] the delay loop\'s speed is read from the console, or nothing is', () => {
  equal(findLoopsPerJiffy('Calibrating delay loop... 8388.60 BogoMIPS (lpj=41943040)'), 41_943_040);
  equal(findLoopsPerJiffy('Calibrating delay loop (skipped) preset value.. 1 BogoMIPS (lpj=0)'), undefined);
  equal(findLoopsPerJiffy(''), undefined);
});
