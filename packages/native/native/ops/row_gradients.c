/**
 * @file SoftmaxGrad: with Y = softmax(X) along the last axis, dX = (dY - sum(dY Y)) Y; inputs Y, dY.
 *
 * LayerNormGrad: inputs X, dY, Scale [columns], Mean and InvStdDev [rows, as the forward op gives them]; outputs dX, and
 * dScale and dBias [columns] where they are read.
 */
#include "op.h"

static ort_status *compute_softmax(op_call *call) {
  tensor y, dy, dx;
  ort_status *status = call_input(call, 0, &y);
  if (status == NULL) status = call_input(call, 1, &dy);
  if (status != NULL) return status;
  if (y.rank == 0 || !same_shape(&y, &dy)) return op_error(call->environment, "SoftmaxGrad", "Y and dY differ in shape");
  status = call_output(call, 0, y.rank, y.dims, &dx);
  if (status != NULL || y.count == 0) return status;
  const size_t columns = (size_t)y.dims[y.rank - 1];
  return call_result(call, "SoftmaxGrad",
                     mp_softmax_grad(&call->context, y.data, dy.data, dx.data, y.count / columns, columns));
}

static const char *layer_norm_fault(const tensor *x, const tensor *dy, const tensor *scale, const tensor *mean,
                                    const tensor *inverse) {
  if (x->rank == 0 || !same_shape(x, dy)) return "X and dY differ in shape";
  const size_t columns = (size_t)x->dims[x->rank - 1];
  if (scale->count != columns) return "Scale does not have one element per column";
  if (mean->count * columns != x->count || inverse->count != mean->count) return "Mean or InvStdDev do not have one element per row";
  return NULL;
}

static ort_status *compute_layer_norm(op_call *call) {
  op_environment *environment = call->environment;
  tensor in[5], dx, dscale, dbias;
  ort_status *status = NULL;
  for (size_t i = 0; i < 5 && status == NULL; i++) status = call_input(call, i, &in[i]);
  if (status != NULL) return status;
  const char *fault = layer_norm_fault(&in[0], &in[1], &in[2], &in[3], &in[4]);
  if (fault != NULL) return op_error(environment, "LayerNormGrad", fault);
  const int64_t columns = in[0].dims[in[0].rank - 1];
  status = call_output(call, 0, in[0].rank, in[0].dims, &dx);
  if (status == NULL) status = call_output(call, 1, 1, &columns, &dscale);
  if (status == NULL) status = call_output(call, 2, 1, &columns, &dbias);
  if (status != NULL || columns == 0) return status;
  const mp_layer_norm_grad_arguments arguments = {
      .rows = in[0].count / (size_t)columns,
      .columns = (size_t)columns,
      .x = in[0].data,
      .dy = in[1].data,
      .scale = in[2].data,
      .mean = in[3].data,
      .inverse = in[4].data,
      .dx = dx.data,
      .dscale = dscale.data,
      .dbias = dbias.data,
  };
  const size_t bytes = mp_layer_norm_grad_scratch(&call->context, arguments.rows, arguments.columns);
  const scratch_block scratch = scratch_take(&environment->scratch, bytes);
  if (scratch.memory == NULL) return environment->api->create_status(ORT_FAIL, "Failed to allocate scratch memory");
  const mp_status result = mp_layer_norm_grad(&call->context, &arguments, scratch.memory);
  scratch_give(&environment->scratch, scratch);
  return call_result(call, "LayerNormGrad", result);
}

static int infer_layer_norm(const op_environment *environment, ort_shape_context *ort, const tensor *inputs,
                            size_t count, tensor *outputs) {
  (void)environment;
  (void)ort;
  if (count == 0 || inputs[0].rank == 0) return 0;
  outputs[0] = inputs[0];
  outputs[1] = (tensor){.rank = 1, .dims = {inputs[0].dims[inputs[0].rank - 1]}};
  outputs[2] = outputs[1];
  return 1;
}

const op_spec softmax_grad_op = {
    .name = "SoftmaxGrad",
    .inputs = 2,
    .outputs = 1,
    .compute = compute_softmax,
    .infer = infer_same,
    .in_place = 1,
};

const op_spec layer_norm_grad_op = {
    .name = "LayerNormGrad",
    .inputs = 5,
    .outputs = 3,
    .compute = compute_layer_norm,
    .infer = infer_layer_norm,
    .in_place = 1,
};
