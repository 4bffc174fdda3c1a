/** @file One ONNX Runtime session, shared by its JavaScript object and its bindings. */
#ifndef MODELPRESS_SESSION_H
#define MODELPRESS_SESSION_H

#include "../ops/op.h"
#include "instance.h"

/** An input or output, as the model declares it. */
typedef struct {
  char *name;
  int type;
  size_t rank;
  int64_t dims[MAX_RANK];
  /** Names of dynamic dimensions; empty for others. */
  char *symbols[MAX_RANK];
} value_info;

typedef struct {
  size_t count;
  value_info *values;
  /** The names alone, as `run` wants them. */
  const char **names;
} value_list;

/** All members are used on the environment's thread, but for `ort` while a run is under way. */
typedef struct {
  library *library;
  ort_session *ort;
  op_set *ops;
  value_list inputs, outputs;
  /** The JavaScript object and the bindings. */
  size_t holders;
  size_t runs;
  /** No more runs are to start. */
  bool closed;
} session;

/** The session behind a JavaScript object, or NULL with an exception pending. */
session *session_of(napi_env env, napi_value object);
session *session_hold(session *session);
void session_drop(session *session);
void session_begin_run(session *session);
void session_end_run(session *session);

#endif
