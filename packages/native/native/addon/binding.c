/** @file Memory of JavaScript bound to a session's inputs and outputs, and runs over it. */
#include <stdlib.h>
#include <string.h>

#include "session.h"

static const napi_type_tag BINDING_TAG = {0x6d6f64656c707265ULL, 0x737362696e64696eULL};

/** One input or output. */
typedef struct slot {
  /** NULL while nothing is bound. */
  ort_value *value;
  /** Keeps the typed array alive. */
  napi_ref array;
  /** Where its elements lay when it was bound: an array that has moved or shrunk since is refused. */
  const void *data;
  size_t length;
} slot;

typedef struct {
  session *session;
  slot *inputs, *outputs;
  /** What `run` of ONNX Runtime reads and writes; of the values, those not in a slot were made by a run. */
  const ort_value **input_values;
  ort_value **output_values;
  ort_run_options *options;
  bool running, cancelled;
  /** Of the run under way. */
  napi_async_work work;
  napi_deferred deferred;
  /** Keeps the JavaScript object alive during a run. */
  napi_ref object;
  ort_status *failure;
} binding;

/** The typed array that holds an element type, and its size. */
typedef struct {
  int type;
  napi_typedarray_type array;
  size_t bits, array_bytes;
} element_type;

static const element_type ELEMENT_TYPES[] = {
    {1, napi_float32_array, 32, 4},  {2, napi_uint8_array, 8, 1},      {3, napi_int8_array, 8, 1},
    {4, napi_uint16_array, 16, 2},   {5, napi_int16_array, 16, 2},     {6, napi_int32_array, 32, 4},
    {7, napi_bigint64_array, 64, 8}, {9, napi_uint8_array, 8, 1},      {10, napi_uint16_array, 16, 2},
    {11, napi_float64_array, 64, 8}, {12, napi_uint32_array, 32, 4},   {13, napi_biguint64_array, 64, 8},
    {16, napi_uint16_array, 16, 2},  {21, napi_uint8_array, 4, 1},     {22, napi_uint8_array, 4, 1},
};

static const element_type *element_type_of(int type) {
  for (size_t i = 0; i < sizeof ELEMENT_TYPES / sizeof *ELEMENT_TYPES; i++) {
    if (ELEMENT_TYPES[i].type == type) return &ELEMENT_TYPES[i];
  }
  return NULL;
}

static binding *binding_of(napi_env env, napi_value object) {
  bool tagged = false;
  binding *binding = NULL;
  if (napi_check_object_type_tag(env, object, &BINDING_TAG, &tagged) == napi_ok && tagged &&
      napi_unwrap(env, object, (void **)&binding) == napi_ok) {
    return binding;
  }
  throw_error(env, "native.argument", "This is not a binding.");
  return NULL;
}

static void clear_slot(napi_env env, const binding *binding, slot *slot) {
  if (slot->value != NULL) binding->session->library->api.release_value(slot->value);
  if (slot->array != NULL) napi_delete_reference(env, slot->array);
  *slot = (struct slot){0};
}

static void clear_slots(napi_env env, binding *binding) {
  for (size_t i = 0; i < binding->session->inputs.count && binding->inputs != NULL; i++) {
    clear_slot(env, binding, &binding->inputs[i]);
  }
  for (size_t i = 0; i < binding->session->outputs.count && binding->outputs != NULL; i++) {
    clear_slot(env, binding, &binding->outputs[i]);
  }
}

static void free_binding(napi_env env, binding *binding) {
  clear_slots(env, binding);
  if (binding->options != NULL) binding->session->library->api.release_run_options(binding->options);
  free(binding->inputs);
  free(binding->outputs);
  free(binding->input_values);
  free(binding->output_values);
  session_drop(binding->session);
  free(binding);
}

static void finalize_binding(napi_env env, void *data, void *hint) {
  (void)hint;
  free_binding(env, data);
}

/** createBinding(session): an object with nothing bound yet. */
napi_value create_binding(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value session_object = NULL, object = NULL;
  if (napi_get_cb_info(env, info, &count, &session_object, NULL, NULL) != napi_ok) return throw_napi(env);
  session *session = session_of(env, session_object);
  if (session == NULL) return NULL;
  if (session->closed) return throw_error(env, "native.released", "The session has been released.");
  binding *made = calloc(1, sizeof *made);
  if (made == NULL) return throw_error(env, "native.memory", "No memory for a binding.");
  made->session = session_hold(session);
  made->inputs = calloc(session->inputs.count + 1, sizeof *made->inputs);
  made->outputs = calloc(session->outputs.count + 1, sizeof *made->outputs);
  made->input_values = calloc(session->inputs.count + 1, sizeof *made->input_values);
  made->output_values = calloc(session->outputs.count + 1, sizeof *made->output_values);
  if (made->inputs == NULL || made->outputs == NULL || made->input_values == NULL || made->output_values == NULL) {
    free_binding(env, made);
    return throw_error(env, "native.memory", "No memory for a binding.");
  }
  ort_status *status = session->library->api.create_run_options(&made->options);
  if (status != NULL) {
    const ort_api *api = &session->library->api;
    throw_status(env, api, status);
    free_binding(env, made);
    return NULL;
  }
  if (napi_create_object(env, &object) != napi_ok || napi_type_tag_object(env, object, &BINDING_TAG) != napi_ok ||
      napi_wrap(env, object, made, finalize_binding, NULL, NULL) != napi_ok) {
    free_binding(env, made);
    return throw_napi(env);
  }
  return object;
}

/* ---- binding memory ------------------------------------------------------------------------------------------------- */

static bool read_dims(napi_env env, napi_value array, int64_t *dims, size_t *rank, size_t *elements) {
  uint32_t length = 0;
  if (napi_get_array_length(env, array, &length) != napi_ok || length > MAX_RANK) {
    throw_error(env, "native.argument", "Dimensions are an array of at most %d numbers.", MAX_RANK);
    return false;
  }
  size_t count = 1;
  for (uint32_t i = 0; i < length; i++) {
    napi_value dim = NULL;
    if (napi_get_element(env, array, i, &dim) != napi_ok || napi_get_value_int64(env, dim, &dims[i]) != napi_ok ||
        dims[i] < 0 || __builtin_mul_overflow(count, (size_t)dims[i], &count)) {
      throw_error(env, "native.argument", "A dimension is a whole number, not negative.");
      return false;
    }
  }
  *rank = length;
  *elements = count;
  return true;
}

/** Wraps the memory of a typed array; false with an exception pending when it does not fit type and dimensions. */
static bool bind(napi_env env, const binding *binding, const char *name, const napi_value *arguments, slot *out) {
  const ort_api *api = &binding->session->library->api;
  int32_t type_number = 0;
  napi_get_value_int32(env, arguments[1], &type_number);
  const element_type *type = element_type_of(type_number);
  if (type == NULL) {
    throw_error(env, "native.type", "\"%s\" has the element type %d, which is not supported.", name, type_number);
    return false;
  }
  int64_t dims[MAX_RANK];
  size_t rank = 0, elements = 0, bits = 0, length = 0;
  void *data = NULL;
  napi_typedarray_type array_type;
  if (!read_dims(env, arguments[2], dims, &rank, &elements)) return false;
  if (napi_get_typedarray_info(env, arguments[0], &array_type, &length, &data, NULL, NULL) != napi_ok ||
      array_type != type->array) {
    throw_error(env, "native.buffer", "\"%s\" is not in a typed array of its element type.", name);
    return false;
  }
  if (__builtin_mul_overflow(elements, type->bits, &bits) || (bits + 7) / 8 != length * type->array_bytes) {
    throw_error(env, "native.buffer", "\"%s\" needs %zu elements, but its typed array holds %zu%s.", name, elements,
                length, length == 0 ? " (it may be detached)" : "");
    return false;
  }
  static char nothing; // ONNX Runtime wants an address for tensors without elements, too
  ort_value *value = NULL;
  ort_status *status = api->create_tensor(binding->session->library->memory, elements == 0 ? &nothing : data,
                                          (bits + 7) / 8, dims, rank, type->type, &value);
  if (status != NULL) {
    throw_status(env, api, status);
    return false;
  }
  *out = (slot){.value = value, .data = data, .length = length};
  if (napi_create_reference(env, arguments[0], 1, &out->array) == napi_ok) return true;
  api->release_value(value);
  throw_napi(env);
  return false;
}

/** The arguments (binding, index, ...) of a function that changes a slot. */
static binding *idle_binding(napi_env env, napi_callback_info info, napi_value *arguments, uint32_t *index) {
  size_t count = 5;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) {
    throw_napi(env);
    return NULL;
  }
  binding *binding = binding_of(env, arguments[0]);
  if (binding == NULL) return NULL;
  if (binding->running) {
    throw_error(env, "native.busy", "Memory cannot be bound during a run.");
    return NULL;
  }
  if (napi_get_value_uint32(env, arguments[1], index) == napi_ok) return binding;
  throw_error(env, "native.argument", "An index must be a number.");
  return NULL;
}

/** bindInput(binding, index, array, type, dims) */
napi_value bind_input(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  uint32_t index = 0;
  binding *binding = idle_binding(env, info, arguments, &index);
  if (binding == NULL) return NULL;
  const value_list *list = &binding->session->inputs;
  if (index >= list->count) return throw_error(env, "native.argument", "There is no input %u.", index);
  slot bound;
  if (!bind(env, binding, list->names[index], arguments + 2, &bound)) return NULL;
  clear_slot(env, binding, &binding->inputs[index]);
  binding->inputs[index] = bound;
  return NULL;
}

/** bindOutput(binding, index, array | null, type, dims): null lets each run allocate it. */
napi_value bind_output(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  uint32_t index = 0;
  binding *binding = idle_binding(env, info, arguments, &index);
  if (binding == NULL) return NULL;
  const value_list *list = &binding->session->outputs;
  if (index >= list->count) return throw_error(env, "native.argument", "There is no output %u.", index);
  napi_valuetype kind = napi_undefined;
  slot bound = {0};
  napi_typeof(env, arguments[2], &kind);
  if (kind != napi_null && !bind(env, binding, list->names[index], arguments + 2, &bound)) return NULL;
  clear_slot(env, binding, &binding->outputs[index]);
  binding->outputs[index] = bound;
  return NULL;
}

/* ---- running ---------------------------------------------------------------------------------------------------------- */

static void execute_run(napi_env env, void *data) {
  (void)env;
  binding *binding = data;
  const session *session = binding->session;
  binding->failure =
      session->library->api.run(session->ort, binding->options, session->inputs.names, binding->input_values,
                                session->inputs.count, session->outputs.names, session->outputs.count,
                                binding->output_values);
}

/** Memory that ONNX Runtime allocated for an output and that an ArrayBuffer now shows. */
typedef struct {
  library *library;
  ort_value *value;
} lent_output;

static void finalize_output(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  lent_output *lent = hint;
  lent->library->api.release_value(lent->value);
  library_drop(lent->library);
  free(lent);
}

/** An ArrayBuffer over a tensor's memory, which takes the value over; a copy where that is not allowed. */
static napi_value buffer_of(napi_env env, library *library, ort_value *value, void *data, size_t bytes) {
  napi_value buffer = NULL;
  lent_output *lent = bytes > 0 ? malloc(sizeof *lent) : NULL;
  if (lent != NULL) {
    *lent = (lent_output){.library = library_hold(library), .value = value};
    if (napi_create_external_arraybuffer(env, data, bytes, finalize_output, lent, &buffer) == napi_ok) return buffer;
    library_drop(library);
    free(lent);
  }
  void *copy = NULL;
  if (napi_create_arraybuffer(env, bytes, &copy, &buffer) == napi_ok && bytes > 0) memcpy(copy, data, bytes);
  library->api.release_value(value);
  return buffer;
}

/** { type, dims, buffer } of an output that the run allocated; NULL with `*fault` set when it is no plain tensor. */
static napi_value output_to_js(napi_env env, library *library, ort_value *value, ort_status **fault) {
  const ort_api *api = &library->api;
  ort_tensor_info *info = NULL;
  void *data = NULL;
  int type = 0;
  tensor shape;
  *fault = api->get_value_info(value, &info);
  if (*fault == NULL) *fault = api->get_element_type(info, &type);
  if (info != NULL) api->release_tensor_info(info);
  const element_type *element = element_type_of(type);
  if (*fault == NULL && element == NULL) {
    *fault = api->create_status(ORT_NOT_IMPLEMENTED, "an output has an element type that is not supported");
  }
  if (*fault == NULL) *fault = read_value(api, value, &shape);
  if (*fault == NULL) *fault = api->get_tensor_data(value, &data);
  if (*fault != NULL) {
    api->release_value(value);
    return NULL;
  }
  napi_value object = NULL, dims = NULL, type_value = NULL;
  napi_create_object(env, &object);
  napi_create_array_with_length(env, shape.rank, &dims);
  for (uint32_t d = 0; d < shape.rank; d++) {
    napi_value dim = NULL;
    napi_create_int64(env, shape.dims[d], &dim);
    napi_set_element(env, dims, d, dim);
  }
  napi_create_int32(env, type, &type_value);
  napi_set_named_property(env, object, "type", type_value);
  napi_set_named_property(env, object, "dims", dims);
  napi_set_named_property(env, object, "buffer",
                          buffer_of(env, library, value, data, (shape.count * element->bits + 7) / 8));
  return object;
}

/** The outputs of a run: null where memory was bound. Takes over every value that the run made. */
static napi_value outputs_to_js(napi_env env, binding *binding, ort_status **fault) {
  const ort_api *api = &binding->session->library->api;
  const size_t count = binding->session->outputs.count;
  napi_value array = NULL, nothing = NULL;
  napi_create_array_with_length(env, count, &array);
  napi_get_null(env, &nothing);
  for (uint32_t i = 0; i < count; i++) {
    ort_value *value = binding->output_values[i];
    binding->output_values[i] = NULL;
    napi_value item = nothing;
    if (binding->outputs[i].value == NULL && value != NULL) {
      if (*fault != NULL) {
        api->release_value(value);
        continue;
      }
      item = output_to_js(env, binding->session->library, value, fault);
    }
    if (*fault == NULL) napi_set_element(env, array, i, item);
  }
  return array;
}

static void complete_run(napi_env env, napi_status async_status, void *data) {
  binding *binding = data;
  const ort_api *api = &binding->session->library->api;
  const napi_deferred deferred = binding->deferred;
  napi_value error = NULL;
  if (async_status != napi_ok) error = make_error(env, "native.stopped", "The process is ending.");
  ort_status *fault = binding->failure;
  const bool failed = fault != NULL;
  napi_value outputs = outputs_to_js(env, binding, &fault);
  if (failed && binding->cancelled) {
    api->release_status(fault);
    error = make_error(env, "native.cancelled", "The run was cancelled.");
  } else if (fault != NULL) {
    error = error_of_status(env, api, fault);
  }
  if (binding->cancelled) {
    ort_status *status = api->unset_terminate(binding->options);
    if (status != NULL) api->release_status(status);
  }
  binding->running = false;
  binding->cancelled = false;
  binding->failure = NULL;
  session_end_run(binding->session);
  napi_delete_async_work(env, binding->work);
  binding->work = NULL;
  napi_delete_reference(env, binding->object); // from here on the binding may be collected
  if (error != NULL) {
    napi_reject_deferred(env, deferred, error);
  } else {
    napi_resolve_deferred(env, deferred, outputs);
  }
}

/** Whether a bound array still shows the memory that was bound. */
static bool unmoved(napi_env env, const slot *slot) {
  napi_value array = NULL;
  napi_typedarray_type type;
  void *data = NULL;
  size_t length = 0;
  return napi_get_reference_value(env, slot->array, &array) == napi_ok && array != NULL &&
         napi_get_typedarray_info(env, array, &type, &length, &data, NULL, NULL) == napi_ok && data == slot->data &&
         length == slot->length;
}

/** Fills what `run` reads; false with an exception pending when something is missing or has moved. */
static bool prepare(napi_env env, binding *binding) {
  const value_list *inputs = &binding->session->inputs, *outputs = &binding->session->outputs;
  for (size_t i = 0; i < inputs->count; i++) {
    const slot *slot = &binding->inputs[i];
    if (slot->value == NULL) {
      throw_error(env, "native.argument", "The input \"%s\" is missing.", inputs->names[i]);
      return false;
    }
    if (!unmoved(env, slot)) {
      throw_error(env, "native.buffer", "The memory of the input \"%s\" was detached or resized.", inputs->names[i]);
      return false;
    }
    binding->input_values[i] = slot->value;
  }
  for (size_t i = 0; i < outputs->count; i++) {
    const slot *slot = &binding->outputs[i];
    if (slot->value != NULL && !unmoved(env, slot)) {
      throw_error(env, "native.buffer", "The memory of the output \"%s\" was detached or resized.",
                  outputs->names[i]);
      return false;
    }
    binding->output_values[i] = slot->value;
  }
  return true;
}

/** run(binding): a promise of the outputs, computed on a background thread. */
napi_value run_binding(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value object = NULL, name = NULL, promise = NULL;
  if (napi_get_cb_info(env, info, &count, &object, NULL, NULL) != napi_ok) return throw_napi(env);
  binding *binding = binding_of(env, object);
  if (binding == NULL) return NULL;
  if (binding->running) return throw_error(env, "native.busy", "This binding is running already.");
  if (binding->session->closed) return throw_error(env, "native.released", "The session has been released.");
  if (!prepare(env, binding)) return NULL;
  napi_create_string_utf8(env, "modelpress.run", NAPI_AUTO_LENGTH, &name);
  if (napi_create_reference(env, object, 1, &binding->object) != napi_ok) return throw_napi(env);
  if (napi_create_async_work(env, NULL, name, execute_run, complete_run, binding, &binding->work) != napi_ok ||
      napi_create_promise(env, &binding->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, binding->work) != napi_ok) {
    if (binding->work != NULL) napi_delete_async_work(env, binding->work);
    binding->work = NULL;
    napi_delete_reference(env, binding->object);
    return throw_napi(env);
  }
  binding->running = true;
  session_begin_run(binding->session);
  return promise;
}

/** cancel(binding): ends a run under way at the next node; its promise is rejected. Nothing happens without one. */
napi_value cancel_run(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value object = NULL;
  if (napi_get_cb_info(env, info, &count, &object, NULL, NULL) != napi_ok) return throw_napi(env);
  binding *binding = binding_of(env, object);
  if (binding == NULL || !binding->running) return NULL;
  const ort_api *api = &binding->session->library->api;
  ort_status *status = api->set_terminate(binding->options);
  if (status != NULL) return throw_status(env, api, status);
  binding->cancelled = true;
  return NULL;
}

/** releaseBinding(binding): lets go of all memory that is bound. */
napi_value release_binding(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value object = NULL;
  if (napi_get_cb_info(env, info, &count, &object, NULL, NULL) != napi_ok) return throw_napi(env);
  binding *binding = binding_of(env, object);
  if (binding == NULL) return NULL;
  if (binding->running) return throw_error(env, "native.busy", "Memory cannot be released during a run.");
  clear_slots(env, binding);
  return NULL;
}
