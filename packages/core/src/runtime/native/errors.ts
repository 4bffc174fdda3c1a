import { ModelpressError, cancelled, invalid, limitExceeded, unsupported } from '../../errors';
import { compileError as ortCompileError, runError as ortRunError } from '../ort/errors';

const codeOf = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown';

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** ONNX Runtime's ORT_INVALID_ARGUMENT. */
const INVALID_ARGUMENT = 'ort.2';

/** What the addon itself says, rather than ONNX Runtime. */
function ownError(thrown: unknown): ModelpressError | undefined {
  const message = messageOf(thrown);
  switch (codeOf(thrown)) {
    case 'native.argument':
    case 'native.buffer':
    case 'native.type':
      return invalid('runtime.input', message);
    case 'native.released':
      return invalid('runtime.released', 'This executable has been released.');
    case 'native.cancelled':
      return cancelled(thrown);
    case 'native.cpu':
      return unsupported('runtime.cpu', message);
    case 'native.memory':
      return limitExceeded('runtime.memory', message);
    default:
      return undefined;
  }
}

/** For a session that could not be made. */
export const compileError = (thrown: unknown): ModelpressError => ownError(thrown) ?? ortCompileError(thrown);

/** For a run that failed. */
export function runError(thrown: unknown): ModelpressError {
  const own = ownError(thrown);
  if (own) return own;
  const error = ortRunError(thrown);
  return codeOf(thrown) === INVALID_ARGUMENT && error.kind === 'internal'
    ? invalid('runtime.input', `ONNX Runtime rejected the data: ${messageOf(thrown)}`, error.details)
    : error;
}
