/** @file Turns onnxruntime's messages into errors that name the node. */
import { ModelpressError, invalid, limitExceeded } from '../../errors';
import type { ErrorDetails } from '../../errors';

/** Where a message says the trouble is, e.g. `running MatMul node. Name:'x'` or `Node (x) Op (MatMul)`. */
const PLACES = [
  /running (?<op>\w+) node\. Name:'(?<node>[^']*)'/,
  /Node ?\((?<node>[^)]*)\) Op ?\((?<op>\w+)\)/,
  /Error Node ?\((?<node>[^)]*)\)/,
  /implementation for (?<op>\w+)\(\d+\) node with name '(?<node>[^']*)'/,
];

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

function placeOf(message: string): ErrorDetails {
  for (const pattern of PLACES) {
    const groups = pattern.exec(message)?.groups;
    if (groups) return { ...groups };
  }
  return {};
}

const isOutOfMemory = (message: string): boolean => /bad_alloc|[Ff]ailed to allocate|out of memory/.test(message);

/** For a session that could not be made. */
export function compileError(thrown: unknown): ModelpressError {
  const message = messageOf(thrown);
  if (isOutOfMemory(message)) return limitExceeded('runtime.memory', `The model does not fit into memory: ${message}`);
  return new ModelpressError(
    'unsupported',
    'runtime.compile',
    `ONNX Runtime does not accept the model: ${message}`,
    placeOf(message),
    { cause: thrown },
  );
}

/** For a run that failed. */
export function runError(thrown: unknown): ModelpressError {
  const message = messageOf(thrown);
  const place = placeOf(message);
  if (isOutOfMemory(message))
    return limitExceeded('runtime.memory', `The run does not fit into memory: ${message}`, place);
  if (/INVALID_ARGUMENT|Got invalid dimensions|indices element out of data bounds/.test(message)) {
    return invalid('runtime.input', `ONNX Runtime rejected the data: ${message}`, place);
  }
  return new ModelpressError('internal', 'runtime.failed', `ONNX Runtime failed: ${message}`, place, { cause: thrown });
}
