import { compareModels, differencesOf, resultStage } from './compare';
import { evaluateGoals } from './goals';
import type { GoalResult, Report } from './report';

/** What the service knows of a finished (or failed) job; the rest of a report follows from it. */
export type ReportInput = Pick<Report, 'job' | 'model' | 'datasets' | 'recipe' | 'stages'>;

/** Makes a job's report: pairs the measurements, judges the goals, gathers the warnings. */
export function buildReport(input: ReportInput): Report {
  const { stages, recipe } = input;
  const comparisons = compareModels(stages);
  const differences = differencesOf(stages);
  const result = resultStage(stages);
  const isComplete = stages.every(({ state }) => state === 'succeeded');
  // A stage that did not get its turn is not lacking in the recipe.
  const reached = (goal: GoalResult): GoalResult =>
    goal.actual === null && !isComplete ? { ...goal, reason: 'The job ended before this was measured.' } : goal;
  return {
    format: 1,
    ...input,
    ...(result === undefined ? {} : { result: result.id }),
    comparisons,
    goals: recipe.goals === undefined ? [] : evaluateGoals(recipe.goals, comparisons, differences).map(reached),
    warnings: stages.flatMap((stage) => stage.warnings.map((warning) => `${stage.id}: ${warning}`)),
  };
}
