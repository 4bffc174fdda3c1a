import { compareModels, differencesOf, resultStage } from './compare';
import { evaluateGoals } from './goals';
import type { Report } from './report';

/** What the service knows of a finished (or failed) job; the rest of a report follows from it. */
export type ReportInput = Pick<Report, 'job' | 'model' | 'datasets' | 'recipe' | 'stages'>;

/** Makes a job's report: pairs the measurements, judges the goals, gathers the warnings. */
export function buildReport(input: ReportInput): Report {
  const { stages, recipe } = input;
  const comparisons = compareModels(stages);
  const differences = differencesOf(stages);
  const result = resultStage(stages);
  return {
    format: 1,
    ...input,
    ...(result === undefined ? {} : { result: result.id }),
    comparisons,
    goals: recipe.goals === undefined ? [] : evaluateGoals(recipe.goals, comparisons, differences),
    warnings: stages.flatMap((stage) => stage.warnings.map((warning) => `${stage.id}: ${warning}`)),
  };
}
