/** @file What the addon keeps per Node environment, and helpers that its functions share. */
#ifndef MODELPRESS_INSTANCE_H
#define MODELPRESS_INSTANCE_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>

#include "library.h"

typedef struct {
  /** NULL until `load`. */
  library *library;
} instance;

/** The loaded library, or NULL with an exception pending. */
library *require_library(napi_env env);

/** Throws an Error with a code; returns NULL for `return throw_error(...)`. */
napi_value throw_error(napi_env env, const char *code, const char *format, ...);
/** Throws for a call of Node-API that failed, unless an exception is already pending. */
napi_value throw_napi(napi_env env);
/** An Error object for a status, which is released. */
napi_value error_of_status(napi_env env, const ort_api *api, ort_status *status);
napi_value make_error(napi_env env, const char *code, const char *message);
napi_value throw_status(napi_env env, const ort_api *api, ort_status *status);

/** Copies a string; the caller frees it. NULL when it is none or memory is short. */
char *copy_string(napi_env env, napi_value value);
/** A property that must be a number or boolean; false with an exception pending otherwise. */
bool read_int(napi_env env, napi_value object, const char *name, int32_t *out);
bool read_bool(napi_env env, napi_value object, const char *name, bool *out);

napi_value create_session(napi_env env, napi_callback_info info);
napi_value release_session(napi_env env, napi_callback_info info);
napi_value create_binding(napi_env env, napi_callback_info info);
napi_value bind_input(napi_env env, napi_callback_info info);
napi_value bind_output(napi_env env, napi_callback_info info);
napi_value run_binding(napi_env env, napi_callback_info info);
napi_value cancel_run(napi_env env, napi_callback_info info);
napi_value release_binding(napi_env env, napi_callback_info info);
napi_value run_calls(napi_env env, napi_callback_info info);

#endif
