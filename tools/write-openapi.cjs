// `npm run openapi`: writes openapi.json from the compiled API.
require('../apps/api/dist/openapi/write.js').writeOpenApi();
