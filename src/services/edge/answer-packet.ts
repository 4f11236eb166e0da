/** One DNS packet in, one out, or the word that others must be asked. Whatever the packet holds, nothing is thrown. */
import packet, { type Answer as ResourceRecord, type DecodedPacket, type Question as PacketQuestion } from 'dns-packet';
import { answerQuestion, type Answer } from './answer-question.ts';
import type { EdgeState } from './edge-state.ts';

export type PacketAnswer = { readonly kind: 'reply'; readonly bytes: Buffer } | { readonly kind: 'forward' } | { readonly kind: 'ignore' };

const headerBytes = 12;
const responseCode = { noError: 0, formatError: 1, serverFailure: 2, noName: 3, notImplemented: 4, refused: 5 } as const;
type ResponseCode = keyof typeof responseCode;
const timeToLive = 1;

/** @param maxBytes longest reply the way back can carry; a longer one is cut and marked as such */
export function answerPacket(state: EdgeState, request: Buffer, asker: string, maxBytes: number): PacketAnswer {
  if (request.length < headerBytes || (request.readUInt8(2) & 0x80) !== 0) return { kind: 'ignore' }; // an answer is never answered
  let query: DecodedPacket;
  try {
    query = packet.decode(request);
  } catch {
    return bare(request, 'formatError');
  }
  const question = query.questions?.[0];
  if ((request.readUInt8(2) & 0x78) !== 0) return bare(request, 'notImplemented');
  if (question === undefined || query.questions?.length !== 1) return bare(request, 'formatError');
  if (question.class !== 'IN' && question.class !== 'ANY') return bare(request, 'refused');
  const answer = answerQuestion(state, question, asker);
  if (answer.kind === 'askOthers') return { kind: 'forward' };
  try {
    const room = Math.max(512, Math.min(maxBytes, maxBytes > 512 && maxBytes <= 4096 ? announcedSize(query) : maxBytes));
    return { kind: 'reply', bytes: encode(request, question, answer, room) };
  } catch {
    return bare(request, 'formatError');
  }
}

/** A reply without records. */
export function bare(request: Buffer, code: ResponseCode): PacketAnswer {
  if (request.length < headerBytes) return { kind: 'ignore' };
  const reply = Buffer.alloc(headerBytes);
  request.copy(reply, 0, 0, 2);
  reply[2] = 0x80 | (request.readUInt8(2) & 0x79);
  reply[3] = 0x80 | responseCode[code];
  return { kind: 'reply', bytes: reply };
}

/** A whole server failure, with the question where it can be read. */
export function failure(request: Buffer): Buffer {
  try {
    const { questions } = packet.decode(request);
    return finish(packet.encode({ type: 'response', id: request.readUInt16BE(0), questions: questions ?? [] }), request, 'serverFailure', false);
  } catch {
    const reply = bare(request, 'serverFailure');
    return reply.kind === 'reply' ? reply.bytes : Buffer.alloc(headerBytes);
  }
}

function encode(request: Buffer, question: PacketQuestion, answer: Answer, room: number): Buffer {
  const code = answer.kind === 'noName' ? 'noName' : 'noError';
  const answers: ResourceRecord[] = answer.kind === 'addresses'
    ? answer.addresses.map((data) => ({ type: 'A', class: 'IN', name: question.name, ttl: timeToLive, data })) : [];
  const authorities: ResourceRecord[] = answer.kind === 'addresses' ? [] : [startOfAuthority()];
  const whole = packet.encode({ type: 'response', id: request.readUInt16BE(0), questions: [question], answers, authorities });
  if (whole.length <= room) return finish(whole, request, code, false);
  return finish(packet.encode({ type: 'response', id: request.readUInt16BE(0), questions: [question] }), request, code, true);
}

/** Flags are set by hand: authoritative, recursion as asked for and available, cut or not, the code. */
function finish(bytes: Uint8Array, request: Buffer, code: ResponseCode, cut: boolean): Buffer {
  const reply = Buffer.from(bytes);
  reply[2] = 0x80 | (code === 'serverFailure' ? 0 : 0x04) | (cut ? 0x02 : 0) | (request.readUInt8(2) & 0x01);
  reply[3] = 0x80 | responseCode[code];
  return reply;
}

/** Makes "no" last as briefly as "yes": a name may come to life at any moment. */
function startOfAuthority(): ResourceRecord {
  return {
    type: 'SOA', class: 'IN', name: 'internal', ttl: timeToLive,
    data: { mname: 'host.strata.internal', rname: 'strata.internal', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: timeToLive },
  };
}

function announcedSize(query: DecodedPacket): number {
  const option = query.additionals?.find((one) => one.type === 'OPT') as { readonly udpPayloadSize?: number } | undefined;
  return Math.min(option?.udpPayloadSize ?? 512, 1232);
}
