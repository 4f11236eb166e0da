/** Programs of a fake guest's `exec`, by their first word; see README.md of this folder. */
import { basename } from 'node:path';
import type { GuestExec } from '#guest-protocol';
import type { FakeLine } from './fake-line.ts';

export interface FakeProgram {
  signal(signal: string): void;
}

/** @throws where the program is 'missing' or 'not-executable', with the words of the real agent. */
export function startFakeProgram(line: FakeLine, request: GuestExec, onExit: (code: number) => void): FakeProgram {
  const [program = '', ...words] = request.argv[0] === 'sh' || request.argv[0] === '/bin/sh' ? (request.argv[2] ?? '').split(' ') : request.argv;
  const verb = basename(program);
  if (verb.startsWith('missing')) throw new Error(`2 ${verb}`);
  if (verb === 'not-executable') throw new Error(`13 ${verb}`);
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  let waiting: { bytes: Uint8Array; readonly errors: boolean }[] = [];
  let codeWhenSent: number | undefined;
  let endless = verb === 'yes';

  function exit(code: number): void {
    if (over) return;
    over = true;
    clearTimeout(timer);
    line.sendEnd(request.stream);
    onExit(code);
    line.removeStream(request.stream);
  }
  function pump(): void {
    for (let room = line.room(request.stream); room > 0 && !over; room = line.room(request.stream)) {
      if (waiting.length === 0 && endless) waiting.push({ bytes: Buffer.alloc(16 * 1024, 'y\n'), errors: false });
      const head = waiting[0];
      if (head === undefined) break;
      const part = head.bytes.subarray(0, room);
      line.sendData(request.stream, part, head.errors);
      if (part.length === head.bytes.length) waiting.shift();
      else head.bytes = head.bytes.subarray(part.length);
    }
    if (waiting.length === 0 && !endless && codeWhenSent !== undefined) exit(codeWhenSent);
  }
  const print = (bytes: Uint8Array, errors = false) => { waiting.push({ bytes, errors }); pump(); };
  const finish = (code: number) => { codeWhenSent = code; pump(); };

  line.addStream(request.stream, {
    data(bytes) {
      line.grant(request.stream, bytes.length);
      if (verb === 'cat') print(bytes.slice());
    },
    end() { if (verb === 'cat') finish(0); },
    drain: pump,
    gone() { over = true; waiting = []; endless = false; clearTimeout(timer); },
  });
  setImmediate(() => {
    if (verb === 'echo') { print(Buffer.from(`${words.join(' ')}\n`)); finish(0); }
    else if (verb === 'complain') { print(Buffer.from(`${words.join(' ')}\n`), true); finish(1); }
    else if (verb.endsWith('busybox')) { print(Buffer.from('BusyBox v0-fake\n')); finish(0); }
    else if (verb === 'read') { print(Buffer.from('10.00 11.00\n')); finish(0); } // a script that is timed: whatever it does takes a second
    else if (verb === 'exit') finish(Number(words[0] ?? 0));
    else if (verb === 'false') finish(1);
    else if (verb === 'env') { print(Buffer.from(request.env.map((one) => `${one}\n`).join(''))); finish(0); }
    else if (verb === 'print') { print(Buffer.alloc(Number(words[0] ?? 0), 'x')); finish(0); }
    else if (verb === 'sleep') timer = setTimeout(() => exit(0), Number(words[0] ?? 0) * 1000);
    else if (verb === 'cat') { if (!request.stdin) finish(0); }
    else if (verb === 'yes') pump();
    else finish(0);
  });
  return { signal: (signal) => exit(signal === 'SIGKILL' ? 137 : signal === 'SIGHUP' ? 129 : signal === 'SIGINT' ? 130 : 143) };
}
