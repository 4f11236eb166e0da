/** A monitor that is there when it is needed: connects on first use and again after the connection was lost. */
import { connectQmp, type QmpConnection } from './qmp-connection.ts';

export interface Monitor {
  /** The open connection, made where there is none. */
  connection(): Promise<QmpConnection>;
  execute(command: string, parameters?: Readonly<Record<string, unknown>>, options?: { readonly timeoutMs?: number }): Promise<unknown>;
  close(): void;
}

/** @param options.open a connection to it that is open already */
export function openMonitor(socketPath: string, options: { readonly connectMs?: number; readonly open?: QmpConnection } = {}): Monitor {
  let current: Promise<QmpConnection> | undefined;

  function keep(mine: Promise<QmpConnection>): Promise<QmpConnection> {
    current = mine;
    const forget = (): void => { if (current === mine) current = undefined; };
    mine.then((open) => open.closed.then(forget), forget);
    return mine;
  }
  if (options.open !== undefined) void keep(Promise.resolve(options.open));
  const connection = (): Promise<QmpConnection> => current ?? keep(connectQmp(socketPath, { timeoutMs: options.connectMs ?? 10_000 }));

  return {
    connection,
    execute: async (command, parameters, one) => (await connection()).execute(command, parameters, one),
    close: () => {
      void current?.then((open) => open.close(), () => undefined);
      current = undefined;
    },
  };
}
