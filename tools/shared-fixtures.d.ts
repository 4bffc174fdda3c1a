/** Path inside the folder `shared` that lies beside the repository. */
export declare const sharedPath: (...parts: string[]) => string;
/** `describe` where the reference data is present; otherwise the tests are shown as skipped, with the reason in the name. */
export declare const describeWithShared: (name: string, body: () => void) => void;
//# sourceMappingURL=shared-fixtures.d.ts.map