/** A guest's end of a line for tests, which says whatever bytes the test wants. */
import { duplexPair, type Duplex } from 'node:stream';
import { silentLog, systemClock, systemDice, type Clock } from '#base';
import { encodeFrame, FrameDecoder, frameTypes, type Frame } from '#guest-protocol';
import { openAgentConnection, type OpenedAgentConnection } from './open-agent-connection.ts';

export interface RequestSeen { readonly id: number; readonly method: string; readonly params: Record<string, unknown> }

export interface TestGuest {
  readonly wire: Duplex;
  readonly connection: OpenedAgentConnection;
  /** What the host sent after the greeting. */
  readonly frames: Frame[];
  readonly requests: RequestSeen[];
  /** The next request of that method. */
  request(method: string): Promise<RequestSeen>;
  json(message: unknown): void;
  data(stream: number, bytes: Uint8Array, errors?: boolean): void;
  credit(stream: number, bytes: number): void;
  end(stream: number): void;
}

export const options = { clock: systemClock, dice: systemDice, log: silentLog };
export const helloOf = (nonce: unknown) => ({ nonce, protocol: 1, agentVersion: '1', bootId: '0f0f0f0f-0000-4000-8000-000000000000', kernel: '6.12', architecture: 'x86_64', uptimeMs: 5 });

/** Connected and greeted; `before` is said ahead of the answer to the reset. */
export async function connectTestGuest(before: Uint8Array = new Uint8Array(0), clock: Clock = systemClock): Promise<TestGuest> {
  const [host, wire] = duplexPair();
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  const requests: RequestSeen[] = [];
  let waiting: (() => void)[] = [];
  const json = (message: unknown) => { wire.write(encodeFrame(frameTypes.json, 0, Buffer.from(JSON.stringify(message)))); };
  wire.on('error', () => undefined);
  wire.on('data', (chunk: Buffer) => {
    for (const frame of decoder.push(chunk)) {
      if (frame.type === frameTypes.reset) { wire.write(before); wire.write(encodeFrame(frameTypes.reset, 0, frame.payload)); continue; }
      frames.push(frame);
      if (frame.type !== frameTypes.json) continue;
      const request = JSON.parse(Buffer.from(frame.payload).toString()) as RequestSeen;
      if (request.method === 'hello') json({ id: request.id, result: helloOf(request.params['nonce']) });
      else requests.push(request);
    }
    for (const wake of waiting) wake();
    waiting = [];
  });
  const connection = await openAgentConnection(host, { ...options, clock });
  return {
    wire, connection, frames, requests, json,
    async request(method) {
      for (;;) {
        const at = requests.findIndex((one) => one.method === method);
        if (at >= 0) return requests.splice(at, 1)[0] as RequestSeen;
        await new Promise<void>((resolve) => { waiting.push(resolve); });
      }
    },
    data: (stream, bytes, errors = false) => { wire.write(encodeFrame(errors ? frameTypes.errorData : frameTypes.data, stream, bytes)); },
    credit(stream, bytes) {
      const payload = Buffer.alloc(4);
      payload.writeUInt32LE(bytes);
      wire.write(encodeFrame(frameTypes.credit, stream, payload));
    },
    end: (stream) => { wire.write(encodeFrame(frameTypes.endOfData, stream, new Uint8Array(0))); },
  };
}
