/** Door of the guest protocol: the types and the frame codec that the host's code shares with the agent. */
export * from './messages.ts';
export { encodeFrame, FrameDecoder, FrameError, frameTypes, headerBytes, magic, maxDataBytes, maxPayload, streamWindow, type Frame, type FrameType } from './frames.ts';
