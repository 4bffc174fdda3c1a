#include "op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define OP_SPEC(name) extern const op_spec name##_op;
OP_TABLE(OP_SPEC)
#undef OP_SPEC

static const op_spec *const SPECS[] = {
#define OP_SPEC(name) &name##_op,
    OP_TABLE(OP_SPEC)
#undef OP_SPEC
};
#define OP_COUNT (sizeof SPECS / sizeof *SPECS)
#define MAX_INPUTS 8
#define MAX_OUTPUTS 4

/** `base` first: ONNX Runtime hands it back to every callback. */
typedef struct {
  ort_custom_op base;
  const op_spec *spec;
  op_environment *environment;
} registered_op;

struct op_set {
  op_environment environment;
  ort_custom_op_domain *domain;
  registered_op ops[OP_COUNT];
};

typedef struct {
  const op_spec *spec;
  op_environment *environment;
  void *state;
} kernel;

static const registered_op *registered(const ort_custom_op *op) { return (const registered_op *)op; }

/* ---- what specs may call ------------------------------------------------------------------------------------------ */

static int without(const op_environment *environment, ort_status *status) {
  if (status == NULL) return 0;
  environment->api->release_status(status);
  return 1;
}

int64_t kernel_int(const op_environment *environment, const ort_kernel_info *info, const char *name,
                   int64_t fallback) {
  int64_t value = 0;
  return without(environment, environment->api->kernel_int(info, name, &value)) ? fallback : value;
}

float kernel_float(const op_environment *environment, const ort_kernel_info *info, const char *name, float fallback) {
  float value = 0;
  return without(environment, environment->api->kernel_float(info, name, &value)) ? fallback : value;
}

int64_t shape_int(const op_environment *environment, ort_shape_context *ort, const char *name, int64_t fallback) {
  const ort_op_attribute *attribute = NULL;
  int64_t value = 0;
  size_t bytes = 0;
  if (without(environment, environment->api->shape_attribute(ort, name, &attribute)) || attribute == NULL) {
    return fallback;
  }
  return without(environment, environment->api->read_attribute(attribute, ORT_ATTRIBUTE_INT, &value, sizeof value,
                                                               &bytes))
             ? fallback
             : value;
}

ort_status *op_error(const op_environment *environment, const char *op, const char *message) {
  char text[256];
  snprintf(text, sizeof text, "%s.%s: %s", OP_DOMAIN, op, message);
  return environment->api->create_status(ORT_INVALID_ARGUMENT, text);
}

static ort_status *read_info(const ort_api *api, const ort_tensor_info *info, tensor *out) {
  ort_status *status = api->get_rank(info, &out->rank);
  if (status != NULL) return status;
  if (out->rank > MAX_RANK) return api->create_status(ORT_INVALID_ARGUMENT, "a tensor has more than 8 dimensions");
  if ((status = api->get_dimensions(info, out->dims, out->rank)) != NULL) return status;
  out->count = 1;
  for (size_t i = 0; i < out->rank; i++) out->count *= out->dims[i] > 0 ? (size_t)out->dims[i] : 0;
  return NULL;
}

ort_status *read_value(const ort_api *api, const ort_value *value, tensor *out) {
  memset(out, 0, sizeof *out);
  if (value == NULL) return NULL;
  ort_tensor_info *info = NULL;
  ort_status *status = api->get_value_info(value, &info);
  if (status != NULL) return status;
  status = read_info(api, info, out);
  api->release_tensor_info(info);
  if (status != NULL) return status;
  return api->get_tensor_data((ort_value *)value, &out->data);
}

ort_status *call_input(op_call *call, size_t index, tensor *out) {
  memset(out, 0, sizeof *out);
  const ort_api *api = call->environment->api;
  size_t count = 0;
  ort_status *status = api->kernel_input_count(call->ort, &count);
  if (status != NULL || index >= count) return status;
  const ort_value *value = NULL;
  status = api->kernel_input(call->ort, index, &value);
  return status != NULL ? status : read_value(api, value, out);
}

ort_status *call_output(op_call *call, size_t index, size_t rank, const int64_t *dims, tensor *out) {
  const ort_api *api = call->environment->api;
  size_t count = 0;
  ort_value *value = NULL;
  ort_status *status = api->kernel_output_count(call->ort, &count);
  if (status == NULL && index < count) status = api->kernel_output(call->ort, index, dims, rank, &value);
  return status != NULL ? status : read_value(api, value, out);
}

ort_status *call_result(op_call *call, const char *op, mp_status result) {
  if (call->parallel_failure != NULL) return call->parallel_failure;
  switch (result) {
    case MP_OK:
      return NULL;
    case MP_INVALID:
      return op_error(call->environment, op, "the shapes do not fit together");
    case MP_UNSUPPORTED:
      return op_error(call->environment, op, "this processor lacks the instructions asked for");
    case MP_CORRUPT:
      return op_error(call->environment, op, "the packed weight is damaged or of another version");
  }
  return op_error(call->environment, op, "unknown result of a kernel");
}

int same_shape(const tensor *a, const tensor *b) {
  return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) == 0;
}

int infer_same(const op_environment *environment, ort_shape_context *ort, const tensor *inputs, size_t count,
               tensor *outputs) {
  (void)environment;
  (void)ort;
  if (count == 0) return 0;
  outputs[0] = inputs[0];
  return 1;
}

/* ---- ONNX Runtime's callbacks ------------------------------------------------------------------------------------- */

static const char *ORT_CALL get_name(const ort_custom_op *op) { return registered(op)->spec->name; }
static const char *ORT_CALL get_provider(const ort_custom_op *op) {
  (void)op;
  return NULL; // the CPU
}
static size_t ORT_CALL get_input_count(const ort_custom_op *op) { return registered(op)->spec->inputs; }
static size_t ORT_CALL get_output_count(const ort_custom_op *op) { return registered(op)->spec->outputs; }
static int ORT_CALL get_input_type(const ort_custom_op *op, size_t index) {
  const int *types = registered(op)->spec->input_types;
  return types != NULL ? types[index] : ORT_FLOAT;
}
static int ORT_CALL get_output_type(const ort_custom_op *op, size_t index) {
  (void)op;
  (void)index;
  return ORT_FLOAT;
}
static int ORT_CALL get_input_kind(const ort_custom_op *op, size_t index) {
  const op_spec *spec = registered(op)->spec;
  return index < spec->inputs - spec->optional_inputs ? ORT_REQUIRED : ORT_OPTIONAL;
}
static int ORT_CALL get_output_kind(const ort_custom_op *op, size_t index) {
  (void)op;
  return index == 0 ? ORT_REQUIRED : ORT_OPTIONAL;
}
static int ORT_CALL get_input_memory(const ort_custom_op *op, size_t index) {
  (void)op;
  (void)index;
  return ORT_MEMORY_DEFAULT;
}
static int ORT_CALL always_one(const ort_custom_op *op) {
  (void)op;
  return 1;
}
static int ORT_CALL latest_version(const ort_custom_op *op) {
  (void)op;
  return INT32_MAX;
}

static void destroy(kernel *kernel) {
  if (kernel == NULL) return;
  if (kernel->spec->destroy != NULL && kernel->state != NULL) kernel->spec->destroy(kernel->state);
  free(kernel->state);
  free(kernel);
}

static void ORT_CALL destroy_kernel(void *pointer) { destroy(pointer); }

static ort_status *ORT_CALL create_kernel(const ort_custom_op *op, const void *api, const ort_kernel_info *info,
                                          void **out) {
  (void)api;
  const op_spec *spec = registered(op)->spec;
  op_environment *environment = registered(op)->environment;
  kernel *made = calloc(1, sizeof *made);
  if (made == NULL) return environment->api->create_status(ORT_FAIL, "out of memory");
  made->spec = spec;
  made->environment = environment;
  if (spec->state_bytes > 0 && (made->state = calloc(1, spec->state_bytes)) == NULL) {
    destroy(made);
    return environment->api->create_status(ORT_FAIL, "out of memory");
  }
  ort_status *status = spec->create != NULL ? spec->create(environment, info, made->state) : NULL;
  if (status != NULL) {
    destroy(made);
    return status;
  }
  *out = made;
  return NULL;
}

static void run_tasks(void *pool, void (*task)(void *arg, size_t index), size_t total, size_t max_batches, void *arg) {
  op_call *call = pool;
  if (total == 0 || call->parallel_failure != NULL) return;
  call->parallel_failure = call->environment->api->parallel_for(call->ort, task, total, max_batches, arg);
}

static ort_status *ORT_CALL compute(void *pointer, ort_kernel_context *ort) {
  const kernel *kernel = pointer;
  op_call call = {.environment = kernel->environment, .ort = ort, .state = kernel->state};
  call.context = (mp_context){.cpu = kernel->environment->cpu, .parallel = {.run = run_tasks, .pool = &call}};
  return kernel->spec->compute(&call);
}

static ort_status *set_shape(const ort_api *api, ort_shape_context *context, size_t index, const tensor *shape) {
  ort_tensor_info *info = NULL;
  ort_status *status = api->create_tensor_info(&info);
  if (status == NULL) status = api->set_element_type(info, ORT_FLOAT);
  if (status == NULL) status = api->set_dimensions(info, shape->dims, shape->rank);
  if (status == NULL) status = api->shape_output(context, index, info);
  if (info != NULL) api->release_tensor_info(info);
  return status;
}

/** Static shapes only: without them ONNX Runtime plans memory when it runs. */
static ort_status *ORT_CALL infer_shapes(const ort_custom_op *op, ort_shape_context *context) {
  const op_spec *spec = registered(op)->spec;
  const op_environment *environment = registered(op)->environment;
  const ort_api *api = environment->api;
  tensor inputs[MAX_INPUTS];
  size_t count = 0;
  ort_status *status = api->shape_input_count(context, &count);
  if (count > spec->inputs) count = spec->inputs;
  for (size_t i = 0; i < count && status == NULL; i++) {
    ort_tensor_info *info = NULL;
    memset(&inputs[i], 0, sizeof inputs[i]);
    status = api->shape_input(context, i, &info); // belongs to the context
    if (status == NULL && info != NULL) status = read_info(api, info, &inputs[i]);
    // an unknown shape reads as rank 0, which no required input has
    if (status == NULL && inputs[i].rank == 0 && i < spec->inputs - spec->optional_inputs) return NULL;
    for (size_t d = 0; d < inputs[i].rank; d++) {
      if (inputs[i].dims[d] < 0) return NULL;
    }
  }
  tensor outputs[MAX_OUTPUTS] = {0};
  if (status != NULL || !spec->infer(environment, context, inputs, count, outputs)) return status;
  for (size_t i = 0; i < spec->outputs && status == NULL; i++) status = set_shape(api, context, i, &outputs[i]);
  return status;
}

/* ONNX Runtime asks without saying for which op, so there is one function per input. */
static int zero_index[] = {0};
static int one_index[] = {1};
static int two_index[] = {2};
static size_t ORT_CALL take_over_input_0(int **inputs, int **outputs) {
  *inputs = zero_index;
  *outputs = zero_index;
  return 1;
}
static size_t ORT_CALL take_over_input_1(int **inputs, int **outputs) {
  *inputs = one_index;
  *outputs = zero_index;
  return 1;
}
static size_t ORT_CALL take_over_input_2(int **inputs, int **outputs) {
  *inputs = two_index;
  *outputs = zero_index;
  return 1;
}
static size_t (ORT_CALL *const TAKE_OVER[])(int **inputs, int **outputs) = {
    take_over_input_0,
    take_over_input_1,
    take_over_input_2,
};
static void ORT_CALL keep(int *inputs, int *outputs) {
  (void)inputs;
  (void)outputs;
}

static const ort_custom_op CALLBACKS = {
    .version = ORT_API_VERSION,
    .get_name = get_name,
    .get_provider = get_provider,
    .get_input_type = get_input_type,
    .get_input_count = get_input_count,
    .get_output_type = get_output_type,
    .get_output_count = get_output_count,
    .destroy_kernel = destroy_kernel,
    .get_input_kind = get_input_kind,
    .get_output_kind = get_output_kind,
    .get_input_memory = get_input_memory,
    .get_variadic_input_minimum = always_one,
    .get_variadic_input_same_type = always_one,
    .get_variadic_output_minimum = always_one,
    .get_variadic_output_same_type = always_one,
    .create_kernel = create_kernel,
    .compute = compute,
    .infer_shapes = infer_shapes,
    .get_start_version = always_one,
    .get_end_version = latest_version,
};

ort_status *op_set_create(const ort_api *api, mp_cpu cpu, int keep_memory, op_set **out) {
  op_set *set = calloc(1, sizeof *set);
  if (set == NULL) return api->create_status(ORT_FAIL, "out of memory");
  set->environment.api = api;
  set->environment.cpu = cpu;
  scratch_pool_init(&set->environment.scratch, keep_memory);
  ort_status *status = api->create_custom_op_domain(OP_DOMAIN, &set->domain);
  for (size_t i = 0; i < OP_COUNT && status == NULL; i++) {
    registered_op *op = &set->ops[i];
    *op = (registered_op){.base = CALLBACKS, .spec = SPECS[i], .environment = &set->environment};
    if (SPECS[i]->in_place >= 0) {
      op->base.get_in_place = TAKE_OVER[SPECS[i]->in_place];
      op->base.release_in_place = keep;
    }
    status = api->custom_op_domain_add(set->domain, &op->base);
  }
  if (status != NULL) {
    op_set_destroy(set);
    return status;
  }
  *out = set;
  return NULL;
}

ort_status *op_set_add_to(op_set *set, ort_session_options *options) {
  return set->environment.api->add_custom_op_domain(options, set->domain);
}

void op_set_destroy(op_set *set) {
  if (set == NULL) return;
  if (set->domain != NULL) set->environment.api->release_custom_op_domain(set->domain);
  scratch_pool_destroy(&set->environment.scratch);
  free(set);
}
