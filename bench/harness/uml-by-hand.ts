/** The rival of UML's engine: its kernel with the same initramfs and words, started as one would by hand, until the first program of the guest has printed a word. */
import { spawn } from 'node:child_process';
import type { GuestOs } from '#machines';

const word = 'booted';
/** UML adds words of its own. */
const said = new RegExp(`^${word}\\b`, 'm');
const limitMs = 60_000;
/** Of our own kernel command line: what decides how it boots. Devices are left out. */
const kept = /^(mem|initcall_blacklist|pty\.legacy_count|random\.trust_cpu|cryptomgr|rcupdate|loglevel|lpj)\b/;

/** @param ours the kernel command line of a machine of ours, as its guest sees it; returns seconds */
export async function bootUmlByHand(guestOs: GuestOs, ours: string, folder: string): Promise<number> {
  const words = ours.split(/\s+/).filter((one) => kept.test(one));
  const argv = [guestOs.kernel, ...words, `uml_dir=${folder}/`, `initrd=${guestOs.initramfs}`, 'con0=fd:0,fd:1', 'con=null', 'ssl=null', 'rdinit=/bin/busybox', '--', 'echo', word];
  const began = performance.now();
  // In a process namespace whose end ends all of it; UML must not be the first process there itself.
  const child = spawn('unshare', ['--pid', '--fork', '--kill-child', '--', 'timeout', '--signal=KILL', String(limitMs / 1000), ...argv], { stdio: ['ignore', 'pipe', 'ignore'] });
  const gone = new Promise<void>((resolve) => { child.once('exit', () => resolve()); });
  try {
    let seen = '';
    for await (const chunk of child.stdout) {
      seen = (seen + String(chunk)).slice(-4096);
      if (said.test(seen)) return (performance.now() - began) / 1000;
    }
    throw new Error(`the kernel by hand did not reach its first program: ${seen}`);
  } finally {
    child.kill('SIGKILL');
    await gone;
  }
}
