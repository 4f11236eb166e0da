/**
 * Knows which processes a test file started, also those that left its process group or lost their parent,
 * and ends them: by looking at the tree while the file runs, by a mark in their environment, and by a folder
 * of their own on their command line. A process
 * is known by pid and start time together, so that a number used again is never hit.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** All processes now: pid → { parent, start, command }. */
function listProcesses() {
  const found = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z') continue;
      found.set(Number(name), { parent: Number(fields[1]), start: fields[19], command: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')) });
    } catch { /* it ended while we looked */ }
  }
  return found;
}

/** `look()` again and again while the file runs; `end()` once it has ended. @param {string} [folder] begins the paths of whatever is theirs */
export function watchDescendants(pid, mark, folder) {
  const seen = new Map();
  return {
    look() {
      const now = listProcesses();
      const isOurs = (one, depth = 0) => one === pid || seen.get(one)?.start === now.get(one)?.start && seen.has(one) || (depth < 64 && now.has(one) && isOurs(now.get(one).parent, depth + 1));
      for (const [one, { start, command }] of now) if (one !== pid && isOurs(one)) seen.set(one, { start, command });
    },
    /** Ends what is left; returns what that was, for people. */
    end() {
      const now = listProcesses();
      const left = [...now].filter(([one, { start }]) => one !== process.pid && (seen.get(one)?.start === start || carries(one, mark) || (folder !== undefined && isNamed(one, folder))));
      for (const [one] of left) {
        try { process.kill(one, 'SIGKILL'); } catch (error) { if (error.code !== 'ESRCH') throw error; }
      }
      return left.map(([one, { command }]) => `${command} (${one})`);
    },
  };
}

function isNamed(pid, folder) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').some((word) => word.startsWith(folder));
  } catch {
    return false;
  }
}

function carries(pid, mark) {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark);
  } catch {
    return false; // it ended, or is not ours to look at
  }
}
