/** Signal names and numbers (signal(7)); the same on x86 and Arm. Pure. */
const numbers: Readonly<Record<string, number>> = {
  HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15, CHLD: 17, CONT: 18, STOP: 19,
  TSTP: 20, TTIN: 21, TTOU: 22, URG: 23, XCPU: 24, XFSZ: 25, VTALRM: 26, PROF: 27, WINCH: 28, IO: 29, PWR: 30, SYS: 31,
};

/** `SIGTERM`, `term`, `15`, `SIGRTMIN+3` → the number. @throws Error for anything else */
export function signalNumber(name: string): number {
  if (/^\d{1,2}$/.test(name)) return Number(name);
  const plain = name.toUpperCase().replace(/^SIG/, '');
  const realTime = /^RTMIN(?:\+(\d{1,2}))?$/.exec(plain);
  if (realTime !== null) return 34 + Number(realTime[1] ?? 0);
  const number = numbers[plain];
  if (number === undefined) throw new Error(`there is no signal ${name}`);
  return number;
}
