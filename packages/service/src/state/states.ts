/** @file The states of jobs and stage runs, and every change that is allowed between them. */

/** Both jobs and stage runs are in exactly one of these. */
export const STATES = ['queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled'] as const;
export type State = (typeof STATES)[number];

export const FINAL_STATES = ['succeeded', 'failed', 'cancelled'] as const satisfies readonly State[];
export type FinalState = (typeof FINAL_STATES)[number];

export const isFinal = (state: State): state is FinalState => (FINAL_STATES as readonly State[]).includes(state);

/** What can happen to a job or a stage run. */
export const ACTIONS = ['start', 'requeue', 'pause', 'resume', 'succeed', 'fail', 'cancel', 'retry'] as const;
export type Action = (typeof ACTIONS)[number];

/** Every state is listed; an action that is not named under it is refused there. */
type TransitionTable = { readonly [S in State]: { readonly [A in Action]?: State } };

export const JOB_TRANSITIONS: TransitionTable = {
  // A job whose every stage run was already there succeeds without starting.
  queued: { start: 'running', pause: 'paused', succeed: 'succeeded', fail: 'failed', cancel: 'cancelled' },
  running: { pause: 'paused', succeed: 'succeeded', fail: 'failed', cancel: 'cancelled' },
  // Stage runs that it shares with a job that is not paused may finish meanwhile.
  paused: { resume: 'queued', succeed: 'succeeded', fail: 'failed', cancel: 'cancelled' },
  succeeded: {},
  failed: { retry: 'queued' },
  cancelled: { retry: 'queued' },
};

export const RUN_TRANSITIONS: TransitionTable = {
  queued: { start: 'running', pause: 'paused', fail: 'failed', cancel: 'cancelled' },
  // requeue: another attempt follows, because the last one failed in a way that may pass or its worker died.
  running: { requeue: 'queued', pause: 'paused', succeed: 'succeeded', fail: 'failed', cancel: 'cancelled' },
  paused: { resume: 'queued', cancel: 'cancelled' },
  succeeded: {},
  failed: { retry: 'queued' },
  cancelled: { retry: 'queued' },
};

/** Why a queued stage run has not started. */
export const WAITING_REASONS = [
  /** An earlier stage of its recipe must finish first. */
  'stage',
  /** Its project runs as many stages as it may. */
  'project-limit',
  /** It is in the queue and next in line when a worker is free. */
  'worker',
  /** Its last attempt failed; the next one starts after a pause. */
  'retry-delay',
] as const;
export type WaitingReason = (typeof WAITING_REASONS)[number];

/** How an attempt of a stage run ended. */
export const ATTEMPT_STATES = [
  'running',
  'succeeded',
  'failed',
  'cancelled',
  /** Its worker disappeared. */
  'lost',
  /** Ended on purpose before it was done (pause, worker shutdown); it does not count against the attempts allowed. */
  'stopped',
] as const;
export type AttemptState = (typeof ATTEMPT_STATES)[number];

export const ROLES = ['viewer', 'submitter', 'admin'] as const;
/** What an API key may do: read; also submit and steer work; also manage keys and delete. Each includes the one before. */
export type Role = (typeof ROLES)[number];
