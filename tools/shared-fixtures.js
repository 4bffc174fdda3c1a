"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.describeWithShared = exports.sharedPath = void 0;
/** @file Access to the reference data beside the repository. CI has it; a plain clone does not. */
const node_fs_1 = require("node:fs");
const node_path_1 = require("node:path");
const root = (0, node_path_1.join)(__dirname, '..', '..', 'shared');
/** Path inside the folder `shared` that lies beside the repository. */
const sharedPath = (...parts) => (0, node_path_1.join)(root, ...parts);
exports.sharedPath = sharedPath;
/** `describe` where the reference data is present; otherwise the tests are shown as skipped, with the reason in the name. */
const describeWithShared = (name, body) => (0, node_fs_1.existsSync)(root) ? describe(name, body) : describe.skip(`${name} (needs ../shared)`, body);
exports.describeWithShared = describeWithShared;
//# sourceMappingURL=shared-fixtures.js.map