// A folder for what one Jest run makes: temporary files of the tests, and the PostgreSQL server that the first database
// test starts. Its name is short, because the path of a Unix socket may have only 107 characters.
const { chmodSync, mkdtempSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

module.exports = () => {
  const folder = mkdtempSync(join(tmpdir(), 'mp-'));
  chmodSync(folder, 0o755); // one test starts PostgreSQL as another user
  process.env.MODELPRESS_TEST_RUN = folder;
  process.env.TMPDIR = folder;
};
