// `npm run openapi`: writes openapi.json from the compiled API, and the client's types from that.
require('./register-typescript.cjs');
const { readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { OPENAPI_FILE, writeOpenApi } = require('../apps/api/dist/openapi/write.js');
const { clientTypes } = require('./client-types.ts');

async function main() {
  await writeOpenApi();
  const types = clientTypes(JSON.parse(readFileSync(OPENAPI_FILE, 'utf8')));
  writeFileSync(join(__dirname, '..', 'packages', 'client', 'src', 'types.generated.ts'), types);
}

void main();
