// A folder for what one Jest run shares, such as the PostgreSQL server that the first database test starts in it.
const { mkdtempSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

module.exports = () => {
  process.env.MODELPRESS_TEST_RUN = mkdtempSync(join(tmpdir(), 'modelpress-jest-'));
};
