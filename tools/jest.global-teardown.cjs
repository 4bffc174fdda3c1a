// Ends the PostgreSQL server of this Jest run, if a test has started it, and removes the run's folder.
const { readFileSync, rmSync } = require('node:fs');
const { join } = require('node:path');

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

module.exports = async () => {
  const folder = process.env.MODELPRESS_TEST_RUN;
  let pid;
  try {
    pid = Number(readFileSync(join(folder, 'postgres', 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
  } catch {
    // No test has started a server.
  }
  if (pid !== undefined && alive(pid)) {
    process.kill(pid, 'SIGQUIT');
    while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  rmSync(folder, { recursive: true, force: true });
};
