/**
 * @file SparseGemm: Y [.., n] = X [.., k] W + B with a sparse W. Inputs X, W, B; B, optional, has n elements. W is a
 * constant of bytes: a packed weight (kernels/sparse-pack.h), checked completely before it is used. The attribute
 * `outputs` repeats n, so that the shape of Y is known without reading W.
 */
#include <stdlib.h>
#include <string.h>

#include "op.h"

typedef struct {
  int64_t outputs;
  mp_sparse_info info;
  /** Aligned: W itself, which ONNX Runtime keeps as long as the session lives, or `copy`. */
  const void *pack;
  void *copy;
} sparse_state;

static ort_status *align(op_environment *environment, const tensor *w, sparse_state *state) {
  state->pack = w->data;
  if ((uintptr_t)w->data % MP_ALIGNMENT == 0) return NULL;
  if (posix_memalign(&state->copy, MP_ALIGNMENT, w->count) != 0) {
    state->copy = NULL;
    return environment->api->create_status(ORT_FAIL, "out of memory for a packed weight");
  }
  memcpy(state->copy, w->data, w->count);
  state->pack = state->copy;
  return NULL;
}

static ort_status *create(op_environment *environment, const ort_kernel_info *info, void *pointer) {
  sparse_state *state = pointer;
  state->outputs = kernel_int(environment, info, "outputs", -1);
  const ort_value *value = NULL;
  int is_constant = 0;
  ort_status *status = environment->api->kernel_constant_input(info, 1, &is_constant, &value);
  if (status != NULL) return status;
  if (!is_constant || value == NULL) return op_error(environment, "SparseGemm", "W is not a constant");
  tensor w;
  status = read_value(environment->api, value, &w);
  if (status != NULL) return status;
  if (w.rank != 1 || w.count == 0) return op_error(environment, "SparseGemm", "W is not a row of bytes");
  if ((status = align(environment, &w, state)) != NULL) return status;
  if (mp_sparse_check(state->pack, w.count, &state->info) != MP_OK) {
    return op_error(environment, "SparseGemm", "the packed weight is damaged or of another version");
  }
  if (state->outputs != (int64_t)state->info.n) {
    return op_error(environment, "SparseGemm", "the attribute outputs differs from the packed weight");
  }
  return NULL;
}

static void destroy(void *state) { free(((sparse_state *)state)->copy); }

static ort_status *multiply(op_call *call, size_t rows, const tensor *x, const tensor *bias, tensor *y) {
  const sparse_state *state = call->state;
  op_environment *environment = call->environment;
  const size_t bytes = mp_sparse_gemm_scratch(&call->context, &state->info, rows);
  const scratch_block scratch = scratch_take(&environment->scratch, bytes);
  if (scratch.memory == NULL) return environment->api->create_status(ORT_FAIL, "Failed to allocate scratch memory");
  const mp_status result =
      mp_sparse_gemm(&call->context, state->pack, x->data, rows, bias->data, y->data, scratch.memory);
  scratch_give(&environment->scratch, scratch);
  return call_result(call, "SparseGemm", result);
}

static ort_status *compute(op_call *call) {
  const sparse_state *state = call->state;
  tensor x, bias;
  ort_status *status = call_input(call, 0, &x);
  if (status == NULL) status = call_input(call, 2, &bias);
  if (status != NULL) return status;
  if (x.rank < 1 || x.dims[x.rank - 1] != (int64_t)state->info.k) {
    return op_error(call->environment, "SparseGemm", "the last dimension of X is not the number of inputs of W");
  }
  if (bias.data != NULL && bias.count != state->info.n) {
    return op_error(call->environment, "SparseGemm", "B does not have one element for each output");
  }
  tensor y = x;
  y.dims[y.rank - 1] = state->outputs;
  size_t rows = 1;
  for (size_t i = 0; i + 1 < x.rank; i++) rows *= (size_t)x.dims[i];
  status = call_output(call, 0, y.rank, y.dims, &y);
  if (status != NULL || y.count == 0) return status;
  return multiply(call, rows, &x, &bias, &y);
}

static int infer(const op_environment *environment, ort_shape_context *ort, const tensor *inputs, size_t count,
                 tensor *outputs) {
  if (count < 2 || inputs[0].rank < 1) return 0;
  outputs[0] = inputs[0];
  outputs[0].dims[inputs[0].rank - 1] = shape_int(environment, ort, "outputs", -1);
  return outputs[0].dims[inputs[0].rank - 1] >= 0;
}

/** X and B are float32, W is uint8. */
static const int INPUT_TYPES[] = {ORT_FLOAT, ORT_UINT8, ORT_FLOAT};

const op_spec sparse_gemm_op = {
    .name = "SparseGemm",
    .inputs = 3,
    .optional_inputs = 1,
    .outputs = 1,
    .input_types = INPUT_TYPES,
    .state_bytes = sizeof(sparse_state),
    .create = create,
    .destroy = destroy,
    .compute = compute,
    .infer = infer,
    .in_place = -1,
};
