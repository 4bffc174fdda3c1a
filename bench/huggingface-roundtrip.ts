/**
 * @file Sends a checkpoint through a bundle and back, and lets transformers load both and compare.
 *
 *   node --require ./tools/register-typescript.cjs bench/huggingface-roundtrip.ts CHECKPOINT_DIR PYTHON
 *
 * PYTHON is an interpreter with torch and transformers.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeBundle } from '../packages/core/src/bundle';
import { exportHuggingFace, importHuggingFace } from '../packages/core/src/models';

async function main(checkpoint: string, python: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'roundtrip-'));
  try {
    const { bundle, warnings } = await importHuggingFace(checkpoint);
    for (const warning of warnings) console.log(`warning: ${warning}`);
    await writeBundle(join(dir, 'bundle'), bundle);
    await exportHuggingFace(join(dir, 'bundle'), join(dir, 'exported'));
    const script = join(__dirname, 'huggingface_roundtrip.py');
    const child = spawnSync(python, [script, checkpoint, join(dir, 'exported')], { stdio: 'inherit' });
    process.exitCode = child.status ?? 1;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const [checkpoint, python] = process.argv.slice(2);
if (!checkpoint || !python) throw new Error('usage: huggingface-roundtrip.ts CHECKPOINT_DIR PYTHON');
void main(checkpoint, python);
