/** @file The API process. */
import { setFlagsFromString } from 'node:v8';

// Uploads and downloads make short-lived buffers at a high rate. V8 would answer with a young generation of tens of
// megabytes; a small one is collected more often and keeps the process below 200 MB whatever passes through it. It must
// be set before anything else is loaded.
setFlagsFromString('--max-semi-space-size=2');
setFlagsFromString('--semi-space-growth-factor=1');

void import('./serve.js').then(({ serve }) => serve());
