/** QMP, as little as tests need: capabilities, commands one after the other, events ignored. */
import { connect } from 'node:net';

export interface QmpClient {
  execute(command: string, args?: Record<string, unknown>): Promise<unknown>;
  /** Waits until QEMU says that a device is gone; also where it said so already. */
  deviceDeleted(id: string, limitMs?: number): Promise<void>;
  close(): void;
}

export function connectQmp(path: string): Promise<QmpClient> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    let text = '';
    const asked: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];
    const seen: string[] = [];
    const listeners = new Set<() => void>();
    const execute = (command: string, args: Record<string, unknown> = {}) => new Promise<unknown>((done, failed) => {
      asked.push({ resolve: done, reject: failed });
      socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
    const client: QmpClient = {
      execute,
      close: () => socket.destroy(),
      deviceDeleted: (id, limitMs = 20_000) => new Promise((done, failed) => {
        const look = (): void => {
          if (!seen.includes(id)) return;
          clearTimeout(timer);
          listeners.delete(look);
          done();
        };
        const timer = setTimeout(() => { listeners.delete(look); failed(new Error(`QEMU did not give up ${id} within ${limitMs} ms`)); }, limitMs);
        listeners.add(look);
        look();
      }),
    };
    const answer = (line: string): void => {
      const value = JSON.parse(line) as { QMP?: unknown; return?: unknown; error?: { desc: string }; event?: string; data?: { device?: string } };
      if (value.QMP !== undefined) return void execute('qmp_capabilities').then(() => resolve(client), reject);
      if (value.event !== undefined) {
        if (value.event === 'DEVICE_DELETED' && value.data?.device !== undefined) seen.push(value.data.device);
        for (const listener of [...listeners]) listener();
      } else if (value.error !== undefined) asked.shift()?.reject(new Error(`QMP: ${value.error.desc}`));
      else asked.shift()?.resolve(value.return);
    };
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const line = text.slice(0, end).trim();
        text = text.slice(end + 1);
        if (line !== '') answer(line);
      }
    });
    socket.on('close', () => { for (const one of asked.splice(0)) one.reject(new Error('QEMU has ended')); });
  });
}
