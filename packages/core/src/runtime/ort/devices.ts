/** @file Which devices this build of onnxruntime-node can use on this machine. */
import * as ort from 'onnxruntime-node';
import { Graph, Model, Node, ONNX_DOMAIN, Value } from '../../graph';
import { writeModel } from '../../onnx';
import type { Device, RuntimeCapabilities } from '../runtime';

type DeviceReport = RuntimeCapabilities['devices'][number];

const DEVICES: readonly Device[] = ['cpu', 'cuda', 'webgpu'];

let reports: Promise<readonly DeviceReport[]> | undefined;

/** Tries every device once per process, by making a session of one node. */
export function deviceReports(): Promise<readonly DeviceReport[]> {
  reports ??= Promise.all(DEVICES.map(probe));
  return reports;
}

async function probe(device: Device): Promise<DeviceReport> {
  if (!ort.listSupportedBackends().some(({ name }) => name === device)) {
    return { device, available: false, reason: `this build of onnxruntime-node has no ${device} provider` };
  }
  try {
    const options = { executionProviders: [device], logSeverityLevel: 4 } as const;
    const session = await ort.InferenceSession.create(identityModel(), options);
    await session.release();
    return { device, available: true };
  } catch (error) {
    return { device, available: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function identityModel(): Uint8Array {
  const graph = new Graph();
  const input = graph.addInput('x', 'float32', [1]);
  const output = new Value('y', { dtype: 'float32', shape: [1] });
  graph.addNode(new Node('Identity', ONNX_DOMAIN, 'identity', [input], [output]));
  graph.addOutput(output);
  return writeModel(new Model(graph));
}
