/**
 * @file ResidualNorm: Sum = X Mask + Residual and its layer normalisation over the last axis. Inputs X, Residual, Scale
 * and Bias [columns], and optionally Mask; outputs Y, Mean, InvStdDev (with 1 as last dimension) and Sum.
 * Attribute `epsilon`.
 */
#include "op.h"

typedef struct {
  float epsilon;
} norm_state;

static ort_status *create(op_environment *environment, const ort_kernel_info *info, void *state) {
  ((norm_state *)state)->epsilon = kernel_float(environment, info, "epsilon", 1e-5f);
  return NULL;
}

enum { X, RESIDUAL, SCALE, BIAS, MASK, INPUTS };
enum { Y, MEAN, INVERSE, SUM, OUTPUTS };

static const char *fault_in(const tensor *in) {
  if (in[X].rank == 0 || !same_shape(&in[X], &in[RESIDUAL])) return "X and Residual differ in shape";
  if (in[MASK].data != NULL && !same_shape(&in[X], &in[MASK])) return "X and Mask differ in shape";
  const size_t columns = (size_t)in[X].dims[in[X].rank - 1];
  if (in[SCALE].count != columns || in[BIAS].count != columns) return "Scale or Bias do not have one element per column";
  return NULL;
}

static ort_status *compute(op_call *call) {
  tensor in[INPUTS], out[OUTPUTS];
  ort_status *status = NULL;
  for (size_t i = 0; i < INPUTS && status == NULL; i++) status = call_input(call, i, &in[i]);
  if (status != NULL) return status;
  const char *fault = fault_in(in);
  if (fault != NULL) return op_error(call->environment, "ResidualNorm", fault);
  tensor statistics = in[X];
  const size_t columns = (size_t)in[X].dims[in[X].rank - 1];
  statistics.dims[statistics.rank - 1] = 1;
  for (size_t i = 0; i < OUTPUTS && status == NULL; i++) {
    const tensor *shape = i == MEAN || i == INVERSE ? &statistics : &in[X];
    status = call_output(call, i, shape->rank, shape->dims, &out[i]);
  }
  if (status != NULL || in[X].count == 0) return status;
  const mp_residual_norm_arguments arguments = {
      .rows = in[X].count / columns,
      .columns = columns,
      .x = in[X].data,
      .mask = in[MASK].data,
      .residual = in[RESIDUAL].data,
      .sum = out[SUM].data != NULL ? out[SUM].data : out[Y].data, // then Y takes the place of the sum
      .scale = in[SCALE].data,
      .norm_bias = in[BIAS].data,
      .epsilon = ((const norm_state *)call->state)->epsilon,
      .y = out[Y].data,
      .mean = out[MEAN].data,
      .inverse = out[INVERSE].data,
  };
  return call_result(call, "ResidualNorm", mp_residual_norm(&call->context, &arguments));
}

static int infer(const op_environment *environment, ort_shape_context *ort, const tensor *inputs, size_t count,
                 tensor *outputs) {
  (void)environment;
  (void)ort;
  if (count == 0 || inputs[X].rank == 0) return 0;
  for (size_t i = 0; i < OUTPUTS; i++) outputs[i] = inputs[X];
  outputs[MEAN].dims[inputs[X].rank - 1] = 1;
  outputs[INVERSE].dims[inputs[X].rank - 1] = 1;
  return 1;
}

const op_spec residual_norm_op = {
    .name = "ResidualNorm",
    .inputs = INPUTS,
    .optional_inputs = 1,
    .outputs = OUTPUTS,
    .state_bytes = sizeof(norm_state),
    .create = create,
    .compute = compute,
    .infer = infer,
    .in_place = -1,
};
