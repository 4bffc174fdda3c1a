/** What can go wrong here. Codes `ort.<number>` carry ONNX Runtime's own error code. */
export type NativeErrorCode =
  /** There is no compiled addon for this machine. */
  | 'native.addon'
  /** ONNX Runtime's library is missing or of a version that does not fit. */
  | 'native.library'
  /** The processor lacks what was asked for. */
  | 'native.cpu'
  | 'native.argument'
  /** Memory that is too small, of the wrong kind, detached or resizable. */
  | 'native.buffer'
  | 'native.type'
  | 'native.busy'
  | 'native.released'
  | 'native.cancelled'
  | 'native.memory'
  | 'native.stopped'
  | `ort.${number}`;

/** Thrown by everything in this package. */
export class NativeError extends Error {
  override readonly name = 'NativeError';

  constructor(
    readonly code: NativeErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** The addon throws plain errors with a code; in a context of `node:vm` they are of another realm. */
export function nativeError(thrown: unknown): unknown {
  const isError = typeof thrown === 'object' && thrown !== null && 'code' in thrown && 'message' in thrown;
  if (!isError || thrown instanceof NativeError) return thrown;
  return new NativeError(thrown.code as NativeErrorCode, String(thrown.message));
}
