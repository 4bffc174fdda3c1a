import { ACTIONS, isFinal, JOB_TRANSITIONS, RUN_TRANSITIONS, STATES } from './states';

describe.each([
  ['jobs', JOB_TRANSITIONS],
  ['stage runs', RUN_TRANSITIONS],
])('the state machine of %s', (_what, table) => {
  it('leaves a final state only by a retry', () => {
    for (const state of STATES.filter(isFinal)) {
      expect(Object.keys(table[state]).filter((action) => action !== 'retry')).toEqual([]);
    }
  });

  it('never runs a success again', () => {
    expect(table.succeeded).toEqual({});
  });

  it('lets everything that has not ended be cancelled', () => {
    for (const state of STATES.filter((state) => !isFinal(state))) expect(table[state].cancel).toBe('cancelled');
  });

  it('reaches every state from queued', () => {
    const reached = new Set<string>(['queued']);
    for (let size = 0; size !== reached.size;) {
      size = reached.size;
      for (const state of STATES.filter((state) => reached.has(state)))
        for (const action of ACTIONS) {
          const next = table[state][action];
          if (next !== undefined) reached.add(next);
        }
    }
    expect([...reached].sort()).toEqual([...STATES].sort());
  });
});
