/**
 * Messages between the collector of `record` and `stat` and the parent of CMD (native/protocol/launcher.h): packets of one
 * size over a SEQPACKET socket, in host byte order.
 */
import { PARENT } from '../../common/native_messages.js';

export const PARENT_MESSAGE_BYTES: number = PARENT.message.size;

export type ParentMessageType = keyof typeof PARENT.types;

export interface ParentMessage {
  readonly type: ParentMessageType;
  /** Index, pid, errno or exit code, by the type. */
  readonly value: number;
}

export function encodeParentMessage({ type, value }: ParentMessage): Uint8Array {
  const bytes = new Uint8Array(PARENT_MESSAGE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(PARENT.message.version, PARENT.version, true);
  view.setUint32(PARENT.message.type, PARENT.types[type], true);
  view.setUint32(PARENT.message.value, value, true);
  return bytes;
}

/** @throws RangeError on a message that this parent would not send */
export function decodeParentMessage(bytes: Uint8Array): ParentMessage {
  if (bytes.byteLength !== PARENT_MESSAGE_BYTES) throw new RangeError(`message of ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(PARENT.message.version, true) !== PARENT.version)
    throw new RangeError('message of another version');
  const number = view.getUint32(PARENT.message.type, true);
  const type = (Object.keys(PARENT.types) as ParentMessageType[]).find((name) => PARENT.types[name] === number);
  if (type === undefined) throw new RangeError(`message of type ${number}`);
  return { type, value: view.getUint32(PARENT.message.value, true) };
}
