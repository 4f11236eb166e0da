/** A monitor that is there when it is needed: connects on first use and again after the connection was lost. */
import { connectQmp, type QmpConnection } from './qmp-connection.ts';

export interface Monitor {
  /** The open connection, made where there is none. */
  connection(): Promise<QmpConnection>;
  execute(command: string, parameters?: Readonly<Record<string, unknown>>, options?: { readonly timeoutMs?: number }): Promise<unknown>;
  close(): void;
}

export function openMonitor(socketPath: string, options: { readonly connectMs?: number } = {}): Monitor {
  let current: Promise<QmpConnection> | undefined;

  function connection(): Promise<QmpConnection> {
    if (current !== undefined) return current;
    const mine = connectQmp(socketPath, { timeoutMs: options.connectMs ?? 10_000 });
    current = mine;
    const forget = (): void => { if (current === mine) current = undefined; };
    mine.then((open) => open.closed.then(forget), forget);
    return mine;
  }

  return {
    connection,
    execute: async (command, parameters, one) => (await connection()).execute(command, parameters, one),
    close: () => {
      void current?.then((open) => open.close(), () => undefined);
      current = undefined;
    },
  };
}
