/**
 * What each choice that is made for a short boot brings: the same machine by hand, with the words that ours has, and with one
 * choice of them left out at a time, all in turn. QEMU x86_64 and aarch64 under TCG to an agent that answers, with one processor,
 * and the processor time that QEMU took; UML to its first program.
 * What is no word on a command line is not here: docs/benchmarks.md tells of it.
 */
import { architectures, hostArchitecture, silentLog, type Architecture } from '#base';
import { ensureGuestOs } from '#machines';
import { openUmlEngine } from '#machines/uml';
import { umlCommandLine } from './harness/uml-command-line.ts';
import { openColdStarts } from './harness/cold-start.ts';
import { awaitQuiet, inRotation, loadNow, median, p95, report, round, rounds } from './harness/measure.ts';
import { ownInstance } from './harness/own-instance.ts';
import { bootUmlByHand } from './harness/uml-by-hand.ts';

/** What is left out: words of the kernel's command line by their beginning, or something else of QEMU's. */
interface Choice { readonly name: string; readonly architectures: readonly Architecture[]; readonly change: (word: string) => string }

const leaveOut = (...beginnings: readonly string[]) => (argument: string): string => argument.split(' ').filter((word) => !beginnings.some((one) => word === one || word.startsWith(`${one}=`) || word.startsWith(`${one}.`))).join(' ');
const x86: readonly Architecture[] = ['x86_64'];

const choices: readonly Choice[] = [
  { name: 'no tests of ciphers (cryptomgr.notests)', architectures, change: leaveOut('cryptomgr') },
  { name: 'randomness from the processor (random.trust_cpu=on)', architectures, change: leaveOut('random') },
  { name: 'no waits for grace periods (rcupdate.rcu_expedited=1)', architectures, change: leaveOut('rcupdate') },
  { name: 'no guards against speculation (mitigations=off)', architectures, change: leaveOut('mitigations') },
  { name: 'the kernel where it lies (nokaslr)', architectures, change: leaveOut('nokaslr') },
  { name: 'few words on the console (loglevel=5)', architectures, change: leaveOut('loglevel') },
  { name: 'disks looked for where they are (strata.disks)', architectures, change: leaveOut('strata') },
  { name: 'locks stay in place (noreplace-smp)', architectures: x86, change: leaveOut('noreplace-smp') },
  { name: 'no test of timer and counter (no_timer_check, tsc)', architectures: x86, change: leaveOut('no_timer_check', 'tsc') },
  { name: 'no search for a keyboard, one serial port (i8042, 8250)', architectures: x86, change: leaveOut('i8042', '8250') },
  { name: 'no promise of fast string instructions (-cpu)', architectures: x86, change: (argument) => argument.replace(',-erms', '').replace(',-fsrm', '') },
];
const umlChoices: readonly (Omit<Choice, 'architectures'>)[] = [
  { name: 'no RAID6 benchmark (initcall_blacklist)', change: (words) => words.replace('raid6_select_algo,', '') },
  { name: 'no filesystems that no disk has, no compressed swap (initcall_blacklist)', change: (words) => words.replace(/,init_jfs_fs,init_xfs_fs,init_btrfs_fs,init_zswap/, '') },
  { name: 'no old-style terminals (pty.legacy_count=0)', change: leaveOut('pty') },
  { name: 'the delay loop\'s speed told (lpj)', change: leaveOut('lpj') },
  { name: 'randomness from the processor (random.trust_cpu=on)', change: leaveOut('random') },
  { name: 'no tests of ciphers (cryptomgr.notests)', change: leaveOut('cryptomgr') },
  { name: 'no waits for grace periods (rcupdate.rcu_expedited=1)', change: leaveOut('rcupdate') },
];
const all = 'all';
const none = 'all of these left out';

await using own = await ownInstance('bbg', 194);
const starts = await openColdStarts(own);
for (const architecture of architectures) {
  const { commandLine } = await starts.ours(architecture, 1);
  const argv = starts.handArguments(architecture, commandLine);
  const here = choices.filter((choice) => choice.architectures.includes(architecture));
  const commands = new Map([[all, argv], ...here.map(({ name, change }) => [name, argv.map(change)] as const), [none, here.reduce((before, { change }) => before.map(change), argv)]]);
  await starts.hand(architecture, argv);
  await awaitQuiet();
  const load = loadNow();
  const seen = await inRotation([...commands.keys()], rounds(20), (name) => starts.hand(architecture, commands.get(name) ?? argv));
  const of = (name: string, what: 'took' | 'computed') => (seen.get(name) ?? []).map((one) => one[what]);
  for (const name of [...commands.keys()].slice(1)) tell(name, `${architecture} (TCG)`, of(all, 'took'), of(name, 'took'), load, `QEMU's processor time ${round(median(of(all, 'computed')), 2)} s, without ${round(median(of(name, 'computed')), 2)} s`);
}

const guestOs = await ensureGuestOs(hostArchitecture, { ...own, flavour: 'uml' });
const uml = openUmlEngine({ instance: own.instance, log: silentLog, guestOs: async () => guestOs });
await uml.prove(); // it measures the kernel's delay loop, as at a daemon's start
const words = await umlCommandLine(uml);
const commands = new Map([[all, words], ...umlChoices.map(({ name, change }) => [name, change(words)] as const), [none, umlChoices.reduce((before, { change }) => change(before), words)]]);
await bootUmlByHand(guestOs, words, own.folder);
await awaitQuiet();
const load = loadNow();
const seen = await inRotation([...commands.keys()], rounds(20), (name) => bootUmlByHand(guestOs, commands.get(name) ?? words, own.folder));
for (const name of [...commands.keys()].slice(1)) tell(name, 'UML', seen.get(all) ?? [], seen.get(name) ?? [], load);

function tell(name: string, where: string, withIt: readonly number[], without: readonly number[], quietLoad: number, note?: string): void {
  report({
    bench: `boot by hand, ${where}: ${name}`, unit: 's', strata: round(median(withIt)), p95: round(p95(withIt)), rival: name === none ? 'without any' : 'without', rivalValue: round(median(without)), rivalP95: round(p95(without)),
    ratio: round(median(withIt) / median(without)), rounds: withIt.length, load: quietLoad, ...(note === undefined ? {} : { note }),
  });
}
