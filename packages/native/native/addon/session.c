#include "session.h"

#include <stdlib.h>
#include <string.h>

static const napi_type_tag SESSION_TAG = {0x6d6f64656c707265ULL, 0x7373657373696f6eULL};

/** A session being made on a background thread. */
typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  /** The model: a path, or bytes that `model` keeps alive. */
  char *path;
  napi_ref model;
  const void *bytes;
  size_t byte_count;
  int32_t threads, optimization;
  bool spin, memory_pattern, keep_memory;
  mp_cpu cpu;
  session *made;
  ort_status *failure;
} creation;

static void free_list(value_list *list) {
  for (size_t i = 0; i < list->count && list->values != NULL; i++) {
    free(list->values[i].name);
    for (size_t d = 0; d < MAX_RANK; d++) free(list->values[i].symbols[d]);
  }
  free(list->values);
  free(list->names);
}

/** Frees what ONNX Runtime holds; the descriptions stay until the last holder is gone. */
static void close_session(session *session) {
  if (session->ort != NULL) session->library->api.release_session(session->ort);
  session->ort = NULL;
  op_set_destroy(session->ops);
  session->ops = NULL;
}

session *session_hold(session *session) {
  session->holders++;
  return session;
}

void session_drop(session *session) {
  if (--session->holders > 0) return;
  close_session(session);
  free_list(&session->inputs);
  free_list(&session->outputs);
  library_drop(session->library);
  free(session);
}

void session_begin_run(session *session) { session->runs++; }

void session_end_run(session *session) {
  session->runs--;
  if (session->closed && session->runs == 0) close_session(session);
}

session *session_of(napi_env env, napi_value object) {
  bool tagged = false;
  session *session = NULL;
  if (napi_check_object_type_tag(env, object, &SESSION_TAG, &tagged) == napi_ok && tagged &&
      napi_unwrap(env, object, (void **)&session) == napi_ok) {
    return session;
  }
  throw_error(env, "native.argument", "This is not a session.");
  return NULL;
}

/* ---- on the background thread ------------------------------------------------------------------------------------- */

static ort_status *copy_info(const ort_api *api, const ort_type_info *type, value_info *out) {
  int kind = 0;
  const ort_tensor_info *info = NULL;
  ort_status *status = api->get_onnx_type(type, &kind);
  if (status != NULL || kind != ORT_TYPE_TENSOR) return status; // its element type stays ORT_UNDEFINED
  if ((status = api->get_tensor_info(type, &info)) != NULL) return status;
  if ((status = api->get_element_type(info, &out->type)) != NULL) return status;
  if ((status = api->get_rank(info, &out->rank)) != NULL) return status;
  if (out->rank > MAX_RANK) {
    return api->create_status(ORT_NOT_IMPLEMENTED, "an input or output has more than 8 dimensions");
  }
  const char *symbols[MAX_RANK] = {0};
  if ((status = api->get_dimensions(info, out->dims, out->rank)) != NULL) return status;
  if ((status = api->get_symbols(info, symbols, out->rank)) != NULL) return status;
  for (size_t i = 0; i < out->rank; i++) {
    if ((out->symbols[i] = strdup(symbols[i] != NULL ? symbols[i] : "")) == NULL) {
      return api->create_status(ORT_FAIL, "out of memory");
    }
  }
  return NULL;
}

static ort_status *describe(const session *session, size_t index, bool is_input, value_info *out) {
  const ort_api *api = &session->library->api;
  ort_allocator *allocator = NULL;
  ort_type_info *type = NULL;
  char *name = NULL;
  ort_status *status = api->get_default_allocator(&allocator);
  if (status != NULL) return status;
  status = is_input ? api->session_input_name(session->ort, index, allocator, &name)
                    : api->session_output_name(session->ort, index, allocator, &name);
  if (status != NULL) return status;
  out->name = strdup(name);
  ort_status *not_freed = api->allocator_free(allocator, name);
  if (not_freed != NULL) api->release_status(not_freed);
  if (out->name == NULL) return api->create_status(ORT_FAIL, "out of memory");
  status = is_input ? api->session_input_type(session->ort, index, &type)
                    : api->session_output_type(session->ort, index, &type);
  if (status == NULL) status = copy_info(api, type, out);
  if (type != NULL) api->release_type_info(type);
  return status;
}

static ort_status *describe_all(const session *session, bool is_input, value_list *list) {
  const ort_api *api = &session->library->api;
  size_t count = 0;
  ort_status *status = is_input ? api->session_input_count(session->ort, &count)
                                : api->session_output_count(session->ort, &count);
  if (status != NULL) return status;
  list->values = calloc(count + 1, sizeof *list->values);
  list->names = calloc(count + 1, sizeof *list->names);
  if (list->values == NULL || list->names == NULL) return api->create_status(ORT_FAIL, "out of memory");
  list->count = count;
  for (size_t i = 0; i < count && status == NULL; i++) {
    status = describe(session, i, is_input, &list->values[i]);
    list->names[i] = list->values[i].name;
  }
  return status;
}

static ort_status *configure(const creation *creation, ort_session_options *options) {
  const session *session = creation->made;
  const ort_api *api = &session->library->api;
  ort_status *status = api->set_log_level(options, ORT_LOG_FATAL);
  if (status == NULL) status = api->set_intra_op_threads(options, creation->threads);
  if (status == NULL) status = api->set_inter_op_threads(options, 1);
  if (status == NULL) status = api->set_optimization_level(options, creation->optimization);
  if (status == NULL && !creation->memory_pattern) status = api->disable_memory_pattern(options);
  if (status == NULL && !creation->keep_memory) status = api->disable_cpu_arena(options);
  if (status == NULL) {
    status = api->add_session_config(options, "session.intra_op.allow_spinning", creation->spin ? "1" : "0");
  }
  if (status == NULL) status = op_set_add_to(session->ops, options);
  return status;
}

static ort_status *make_session(creation *creation) {
  session *session = creation->made;
  const library *library = session->library;
  const ort_api *api = &library->api;
  ort_session_options *options = NULL;
  ort_status *status = op_set_create(api, creation->cpu, creation->keep_memory, &session->ops);
  if (status == NULL) status = api->create_session_options(&options);
  if (status == NULL) status = configure(creation, options);
  if (status == NULL) {
    status = creation->path != NULL
                 ? api->create_session(library->env, creation->path, options, &session->ort)
                 : api->create_session_from_array(library->env, creation->bytes, creation->byte_count, options,
                                                  &session->ort);
  }
  if (options != NULL) api->release_session_options(options);
  if (status == NULL) status = describe_all(session, true, &session->inputs);
  if (status == NULL) status = describe_all(session, false, &session->outputs);
  return status;
}

static void execute_creation(napi_env env, void *data) {
  (void)env;
  creation *creation = data;
  creation->failure = make_session(creation);
}

/* ---- back on the environment's thread ------------------------------------------------------------------------------ */

static void finalize_session(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  session_drop(data);
}

/** [{ name, type, dims }], where a dynamic dimension is its name. */
static napi_value list_to_js(napi_env env, const value_list *list) {
  napi_value array = NULL;
  napi_create_array_with_length(env, list->count, &array);
  for (uint32_t i = 0; i < list->count; i++) {
    const value_info *info = &list->values[i];
    napi_value object = NULL, name = NULL, type = NULL, dims = NULL;
    napi_create_object(env, &object);
    napi_create_string_utf8(env, info->name, NAPI_AUTO_LENGTH, &name);
    napi_create_int32(env, info->type, &type);
    napi_create_array_with_length(env, info->rank, &dims);
    for (uint32_t d = 0; d < info->rank; d++) {
      napi_value dim = NULL;
      if (info->dims[d] >= 0) {
        napi_create_int64(env, info->dims[d], &dim);
      } else {
        napi_create_string_utf8(env, info->symbols[d], NAPI_AUTO_LENGTH, &dim);
      }
      napi_set_element(env, dims, d, dim);
    }
    napi_set_named_property(env, object, "name", name);
    napi_set_named_property(env, object, "type", type);
    napi_set_named_property(env, object, "dims", dims);
    napi_set_element(env, array, i, object);
  }
  return array;
}

/** Gives the session to a new object; NULL, and the session is still the caller's, when that fails. */
static napi_value session_to_js(napi_env env, session *session) {
  napi_value object = NULL;
  if (napi_create_object(env, &object) != napi_ok) return NULL;
  napi_set_named_property(env, object, "inputs", list_to_js(env, &session->inputs));
  napi_set_named_property(env, object, "outputs", list_to_js(env, &session->outputs));
  if (napi_type_tag_object(env, object, &SESSION_TAG) != napi_ok) return NULL;
  return napi_wrap(env, object, session, finalize_session, NULL, NULL) == napi_ok ? object : NULL;
}

static void free_creation(napi_env env, creation *creation) {
  if (creation->work != NULL) napi_delete_async_work(env, creation->work);
  if (creation->model != NULL) napi_delete_reference(env, creation->model);
  free(creation->path);
  if (creation->made != NULL) session_drop(creation->made);
  free(creation);
}

static void complete_creation(napi_env env, napi_status async_status, void *data) {
  creation *creation = data;
  if (creation->failure != NULL) {
    napi_reject_deferred(env, creation->deferred,
                         error_of_status(env, &creation->made->library->api, creation->failure));
  } else if (async_status != napi_ok) {
    napi_reject_deferred(env, creation->deferred, make_error(env, "native.stopped", "The process is ending."));
  } else {
    napi_value object = session_to_js(env, creation->made);
    if (object != NULL) {
      creation->made = NULL; // the object's now
      napi_resolve_deferred(env, creation->deferred, object);
    } else {
      napi_reject_deferred(env, creation->deferred, make_error(env, "native.memory", "No memory for a session."));
    }
  }
  free_creation(env, creation);
}

static bool read_model(napi_env env, napi_value model, creation *creation) {
  if ((creation->path = copy_string(env, model)) != NULL) return true;
  napi_typedarray_type type;
  void *data = NULL;
  if (napi_get_typedarray_info(env, model, &type, &creation->byte_count, &data, NULL, NULL) != napi_ok ||
      type != napi_uint8_array || creation->byte_count == 0) {
    throw_error(env, "native.argument", "A model is a path or a Uint8Array that is not empty.");
    return false;
  }
  creation->bytes = data;
  return napi_create_reference(env, model, 1, &creation->model) == napi_ok;
}

static bool read_cpu(napi_env env, napi_value options, mp_cpu *out) {
  napi_value value = NULL;
  char *name = NULL;
  if (napi_get_named_property(env, options, "cpu", &value) == napi_ok) name = copy_string(env, value);
  for (mp_cpu cpu = MP_CPU_SCALAR; name != NULL && cpu <= MP_CPU_NEON; cpu++) {
    if (strcmp(name, mp_cpu_name(cpu)) != 0 || !mp_cpu_supports(cpu)) continue;
    *out = cpu;
    free(name);
    return true;
  }
  throw_error(env, "native.cpu", "This processor cannot run kernels at the level \"%s\".", name ? name : "");
  free(name);
  return false;
}

static bool read_options(napi_env env, napi_value options, creation *creation) {
  return read_int(env, options, "threads", &creation->threads) &&
         read_int(env, options, "optimization", &creation->optimization) &&
         read_bool(env, options, "spin", &creation->spin) &&
         read_bool(env, options, "memoryPattern", &creation->memory_pattern) &&
         read_bool(env, options, "keepMemory", &creation->keep_memory) && read_cpu(env, options, &creation->cpu);
}

/** createSession(model, options): a promise of { inputs, outputs }, made on a background thread. */
napi_value create_session(napi_env env, napi_callback_info info) {
  library *library = require_library(env);
  if (library == NULL) return NULL;
  size_t count = 2;
  napi_value arguments[2], name = NULL, promise = NULL;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return throw_napi(env);
  creation *creation = calloc(1, sizeof *creation);
  session *session = calloc(1, sizeof *session);
  if (creation == NULL || session == NULL) {
    free(creation);
    free(session);
    return throw_error(env, "native.memory", "No memory for a session.");
  }
  session->library = library_hold(library);
  session->holders = 1;
  creation->made = session;
  if (!read_model(env, arguments[0], creation) || !read_options(env, arguments[1], creation)) {
    free_creation(env, creation);
    return NULL;
  }
  napi_create_string_utf8(env, "modelpress.createSession", NAPI_AUTO_LENGTH, &name);
  if (napi_create_async_work(env, NULL, name, execute_creation, complete_creation, creation, &creation->work) !=
          napi_ok ||
      napi_create_promise(env, &creation->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, creation->work) != napi_ok) {
    free_creation(env, creation);
    return throw_napi(env);
  }
  return promise;
}

/** releaseSession(session): frees it, as soon as runs under way have ended. */
napi_value release_session(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value object = NULL;
  if (napi_get_cb_info(env, info, &count, &object, NULL, NULL) != napi_ok) return throw_napi(env);
  session *session = session_of(env, object);
  if (session == NULL) return NULL;
  session->closed = true;
  if (session->runs == 0) close_session(session);
  return NULL;
}
