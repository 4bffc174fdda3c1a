/**
 * @file Gelu: Y = X cdf(X). GeluGrad: dX = dY gelu'(X), inputs X, dY. Attribute `tanh`: 1 for the approximation by
 * tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415).
 */
#include "op.h"

typedef struct {
  mp_gelu_kind kind;
} gelu_state;

static ort_status *create(op_environment *environment, const ort_kernel_info *info, void *state) {
  gelu_state *gelu = state;
  gelu->kind = kernel_int(environment, info, "tanh", 0) != 0 ? MP_GELU_TANH : MP_GELU_ERF;
  return NULL;
}

static ort_status *compute_gelu(op_call *call) {
  const gelu_state *state = call->state;
  tensor x, y;
  ort_status *status = call_input(call, 0, &x);
  if (status == NULL) status = call_output(call, 0, x.rank, x.dims, &y);
  if (status != NULL) return status;
  return call_result(call, "Gelu", mp_gelu(&call->context, state->kind, x.data, y.data, x.count));
}

static ort_status *compute_grad(op_call *call) {
  const gelu_state *state = call->state;
  tensor x, dy, dx;
  ort_status *status = call_input(call, 0, &x);
  if (status == NULL) status = call_input(call, 1, &dy);
  if (status == NULL && !same_shape(&x, &dy)) {
    return op_error(call->environment, "GeluGrad", "X and dY differ in shape");
  }
  if (status == NULL) status = call_output(call, 0, x.rank, x.dims, &dx);
  if (status != NULL) return status;
  return call_result(call, "GeluGrad", mp_gelu_grad(&call->context, state->kind, x.data, dy.data, dx.data, x.count));
}

const op_spec gelu_op = {
    .name = "Gelu",
    .inputs = 1,
    .outputs = 1,
    .state_bytes = sizeof(gelu_state),
    .create = create,
    .compute = compute_gelu,
    .infer = infer_same,
    .in_place = 0,
};

const op_spec gelu_grad_op = {
    .name = "GeluGrad",
    .inputs = 2,
    .outputs = 1,
    .state_bytes = sizeof(gelu_state),
    .create = create,
    .compute = compute_grad,
    .infer = infer_same,
    .in_place = 1,
};
