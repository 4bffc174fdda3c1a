/** @file For stages that decide by the outcome of a sensitivity stage right before them. */
import type { Manifest } from '../bundle/manifest';
import { invalid } from '../errors';
import type { Issue, StagePreview } from '../stages/stage';
import { shareIn } from './choices';
import type { Effect, Sensitivity } from './effects';
import { readSensitivity, SENSITIVITY_STEP } from './effects';

/** Choices of which a share is tried. */
type ShareChoice = 'prune' | 'rank';

const missing = (choice: ShareChoice): string =>
  `No sensitivity stage tried "${choice}" on the model that this stage reads: put one right before it.`;

/** What can be refused at submit: no such stage before this one, or one that did not try the choice. */
export function requiredIssues(path: string, choice: ShareChoice, { model }: StagePreview): Issue[] {
  if (!model || triedIn(model).some((name) => shareIn(name, choice) !== undefined)) return [];
  return [{ path, code: 'no-ranking', message: missing(choice) }];
}

/** The step that says what was tried on a model that goes on unchanged. */
export const sensitivityStep = (choices: readonly string[]): Manifest['provenance'][number] => ({
  step: SENSITIVITY_STEP,
  detail: { choices },
});

function triedIn({ provenance }: Manifest): readonly string[] {
  const last = provenance.at(-1);
  const choices = last?.step === SENSITIVITY_STEP ? last.detail['choices'] : undefined;
  return Array.isArray(choices) ? choices.map(String) : [];
}

/** An effect of a choice, and the share that was tried. */
export interface ShareEffect extends Effect {
  readonly share: number;
}

/** Effects of a choice in a bundle folder, by ascending share. @throws invalid `sensitivity.missing`, `sensitivity.corrupt` */
export async function requireEffects(bundle: string, choice: ShareChoice, field: string): Promise<ShareEffect[]> {
  const { effects }: Pick<Sensitivity, 'effects'> = (await readSensitivity(bundle)) ?? { effects: [] };
  const found = effects.flatMap((effect): ShareEffect[] => {
    const share = shareIn(effect.choice, choice);
    return share === undefined ? [] : [{ ...effect, share }];
  });
  if (found.length > 0) return found.sort((a, b) => a.share - b.share);
  throw invalid('sensitivity.missing', missing(choice), { field });
}
