/**
 * @file What an operator of the domain `modelpress` must say. `op.c` turns it into ONNX Runtime's form.
 * README.md tells how to add one.
 */
#ifndef MODELPRESS_OP_H
#define MODELPRESS_OP_H

#include <stddef.h>
#include <stdint.h>

#include "../addon/memory.h"
#include "../kernels/kernels.h"
#include "../ort/api.h"

#define OP_DOMAIN "modelpress"
#define MAX_RANK 8

/** A tensor of the caller; `data` is NULL for an omitted optional input. */
typedef struct {
  size_t rank;
  int64_t dims[MAX_RANK];
  /** Elements. */
  size_t count;
  void *data;
} tensor;

/** What the ops of one session share. */
typedef struct {
  const ort_api *api;
  mp_cpu cpu;
  scratch_pool scratch;
} op_environment;

/** One computation of a node. */
typedef struct {
  op_environment *environment;
  ort_kernel_context *ort;
  /** Its kernel's `state`, as `create` filled it. */
  const void *state;
  /** For kernels. */
  mp_context context;
  /** What ONNX Runtime said when it could not start tasks. */
  ort_status *parallel_failure;
} op_call;

typedef struct op_spec {
  const char *name;
  /** With the optional ones, which come last. */
  size_t inputs, optional_inputs, outputs;
  /** Element type by input; NULL: all float32. Outputs are float32. */
  const int *input_types;
  /** Bytes of a node's own data, zeroed before `create`. */
  size_t state_bytes;
  /** Reads attributes and constant inputs; NULL: there are none. */
  ort_status *(*create)(op_environment *environment, const ort_kernel_info *info, void *state);
  /** Frees what `create` allocated; NULL: nothing. Also called when `create` failed. */
  void (*destroy)(void *state);
  ort_status *(*compute)(op_call *call);
  /**
   * Shapes of all outputs from those of the inputs, with attributes read by `shape_int`; `inputs` have no data.
   * @returns 0 when the inputs do not determine them
   */
  int (*infer)(const op_environment *environment, ort_shape_context *ort, const tensor *inputs, size_t count,
               tensor *outputs);
  /** The input (0, 1 or 2) whose memory output 0 may take over where shapes are equal, or -1. */
  int in_place;
} op_spec;

/** An attribute, or `fallback` where the node has none. */
int64_t kernel_int(const op_environment *environment, const ort_kernel_info *info, const char *name, int64_t fallback);
float kernel_float(const op_environment *environment, const ort_kernel_info *info, const char *name, float fallback);
int64_t shape_int(const op_environment *environment, ort_shape_context *ort, const char *name, int64_t fallback);

/** Input `index` of a call. */
ort_status *call_input(op_call *call, size_t index, tensor *out);
/** Allocates output `index`; `data` is NULL for an output that nobody reads. `dims` may be those of `out`. */
ort_status *call_output(op_call *call, size_t index, size_t rank, const int64_t *dims, tensor *out);
/** A status for `result` of a kernel, which names the op; NULL for MP_OK. */
ort_status *call_result(op_call *call, const char *op, mp_status result);
/** An ORT_INVALID_ARGUMENT status: "<op>: <message>". */
ort_status *op_error(const op_environment *environment, const char *op, const char *message);
/** Describes a value, e.g. a constant input. */
ort_status *read_value(const ort_api *api, const ort_value *value, tensor *out);

/** The same shape as input 0, for output 0. */
int infer_same(const op_environment *environment, ort_shape_context *ort, const tensor *inputs, size_t count,
               tensor *outputs);
int same_shape(const tensor *a, const tensor *b);

/** The ops of one session, registered with ONNX Runtime; they must outlive it. */
typedef struct op_set op_set;
ort_status *op_set_create(const ort_api *api, mp_cpu cpu, int keep_memory, op_set **out);
ort_status *op_set_add_to(op_set *set, ort_session_options *options);
void op_set_destroy(op_set *set);

#endif
