/** @file The loaded ONNX Runtime library. */
#ifndef MODELPRESS_LIBRARY_H
#define MODELPRESS_LIBRARY_H

#include "../ort/api.h"

/** One per Node environment (main thread or worker thread) that uses the addon, and kept by its sessions. */
typedef struct {
  ort_api api;
  ort_env *env;
  ort_memory_info *memory;
  const char *version;
  /** Environment and sessions that use it; all on the environment's thread. */
  size_t holders;
} library;

/**
 * Opens the library at `path`. The file stays mapped until the process ends.
 * @param reason filled with why, when NULL is returned
 */
library *library_open(const char *path, char *reason, size_t reason_bytes);
library *library_hold(library *library);
void library_drop(library *library);

#endif
