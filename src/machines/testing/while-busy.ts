/** For tests: something is done while others want the processors. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { childEnvironment } from '#base';

/** @param processes that never wait; twice as many as there are processors is a busy host */
export async function whileBusy<T>(processes: number, act: () => Promise<T>): Promise<T> {
  const busy = Array.from({ length: processes }, () => spawn('/bin/busybox', ['sh', '-c', 'while :; do :; done'], { stdio: 'ignore', env: childEnvironment }));
  try {
    return await act();
  } finally {
    for (const one of busy) {
      one.kill('SIGKILL');
      if (one.exitCode === null && one.signalCode === null) await once(one, 'exit');
    }
  }
}
