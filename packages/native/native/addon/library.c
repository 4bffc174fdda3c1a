#include "library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef const ort_api_base *(ORT_CALL *get_api_base_function)(void);

/** Copies the functions from their slots; returns the name of one that the table lacks, or NULL. */
static const char *read_slots(const void *const *table, ort_api *api) {
#define ORT_READ(slot, result, name, arguments)                    \
  if (table[slot] == NULL) return #name;                           \
  api->name = (result(ORT_CALL *) arguments)(uintptr_t)table[slot];
  ORT_FUNCTIONS(ORT_READ)
#undef ORT_READ
  return NULL;
}

static ort_status *start(library *library) {
  ort_status *status = library->api.create_env(ORT_LOG_FATAL, "modelpress", &library->env);
  if (status != NULL) return status;
  return library->api.create_cpu_memory_info(ORT_ARENA_ALLOCATOR, ORT_MEMORY_DEFAULT, &library->memory);
}

library *library_open(const char *path, char *reason, size_t reason_bytes) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    snprintf(reason, reason_bytes, "%s", dlerror());
    return NULL;
  }
  const get_api_base_function get_base = (get_api_base_function)(uintptr_t)dlsym(handle, "OrtGetApiBase");
  const ort_api_base *base = get_base != NULL ? get_base() : NULL;
  if (base == NULL) {
    snprintf(reason, reason_bytes, "%s is not an ONNX Runtime library", path);
    return NULL;
  }
  const char *version = base->get_version();
  const void *const *table = base->get_api(ORT_API_VERSION);
  if (table == NULL) {
    snprintf(reason, reason_bytes, "ONNX Runtime %s does not have API %d (it needs 1.%d or later)", version,
             ORT_API_VERSION, ORT_API_VERSION);
    return NULL;
  }
  library *made = calloc(1, sizeof *made);
  if (made == NULL) {
    snprintf(reason, reason_bytes, "out of memory");
    return NULL;
  }
  made->holders = 1;
  made->version = version;
  const char *missing = read_slots(table, &made->api);
  if (missing != NULL) {
    snprintf(reason, reason_bytes, "ONNX Runtime %s lacks the function %s", version, missing);
    free(made);
    return NULL;
  }
  ort_status *status = start(made);
  if (status == NULL) return made;
  snprintf(reason, reason_bytes, "%s", made->api.get_error_message(status));
  made->api.release_status(status);
  library_drop(made);
  return NULL;
}

library *library_hold(library *library) {
  library->holders++;
  return library;
}

void library_drop(library *library) {
  if (--library->holders > 0) return;
  if (library->memory != NULL) library->api.release_memory_info(library->memory);
  if (library->env != NULL) library->api.release_env(library->env);
  free(library);
}
