#include "instance.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../kernels/kernels.h"

library *require_library(napi_env env) {
  instance *instance = NULL;
  napi_get_instance_data(env, (void **)&instance);
  if (instance != NULL && instance->library != NULL) return instance->library;
  throw_error(env, "native.library", "The ONNX Runtime library has not been loaded.");
  return NULL;
}

napi_value throw_error(napi_env env, const char *code, const char *format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  napi_throw_error(env, code, message);
  return NULL;
}

napi_value throw_napi(napi_env env) {
  const napi_extended_error_info *info = NULL;
  const char *message = "a call of Node-API failed";
  if (napi_get_last_error_info(env, &info) == napi_ok && info->error_message != NULL) message = info->error_message;
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  return pending ? NULL : throw_error(env, "native.argument", "%s", message);
}

napi_value make_error(napi_env env, const char *code, const char *message) {
  napi_value code_value = NULL, message_value = NULL, error = NULL;
  napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &code_value);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &message_value);
  napi_create_error(env, code_value, message_value, &error);
  return error;
}

napi_value error_of_status(napi_env env, const ort_api *api, ort_status *status) {
  char code[32];
  snprintf(code, sizeof code, "ort.%d", api->get_error_code(status));
  napi_value error = make_error(env, code, api->get_error_message(status));
  api->release_status(status);
  return error;
}

napi_value throw_status(napi_env env, const ort_api *api, ort_status *status) {
  napi_throw(env, error_of_status(env, api, status));
  return NULL;
}

char *copy_string(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (text != NULL) napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

bool read_int(napi_env env, napi_value object, const char *name, int32_t *out) {
  napi_value value = NULL;
  if (napi_get_named_property(env, object, name, &value) == napi_ok &&
      napi_get_value_int32(env, value, out) == napi_ok) {
    return true;
  }
  throw_error(env, "native.argument", "\"%s\" must be a number.", name);
  return false;
}

bool read_bool(napi_env env, napi_value object, const char *name, bool *out) {
  napi_value value = NULL;
  if (napi_get_named_property(env, object, name, &value) == napi_ok &&
      napi_get_value_bool(env, value, out) == napi_ok) {
    return true;
  }
  throw_error(env, "native.argument", "\"%s\" must be a boolean.", name);
  return false;
}

/** load(path): opens the ONNX Runtime library and returns its version. */
static napi_value load(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value path_value = NULL;
  instance *instance = NULL;
  if (napi_get_cb_info(env, info, &count, &path_value, NULL, NULL) != napi_ok) return throw_napi(env);
  napi_get_instance_data(env, (void **)&instance);
  if (instance->library == NULL) {
    char *path = copy_string(env, path_value);
    if (path == NULL) return throw_error(env, "native.argument", "load needs the path of a library.");
    char reason[400];
    instance->library = library_open(path, reason, sizeof reason);
    free(path);
    if (instance->library == NULL) return throw_error(env, "native.library", "%s", reason);
  }
  napi_value version = NULL;
  napi_create_string_utf8(env, instance->library->version, NAPI_AUTO_LENGTH, &version);
  return version;
}

/** cpuLevels(): the names of the levels that kernels may run at here, the best last. */
static napi_value cpu_levels(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value levels = NULL;
  uint32_t length = 0;
  napi_create_array(env, &levels);
  for (mp_cpu cpu = MP_CPU_SCALAR; cpu <= MP_CPU_NEON; cpu++) {
    if (!mp_cpu_supports(cpu)) continue;
    napi_value name = NULL;
    napi_create_string_utf8(env, mp_cpu_name(cpu), NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, levels, length++, name);
  }
  return levels;
}

#define TEXT_(value) #value
#define TEXT(value) TEXT_(value)

/** slots(): [slot, name] of every function that is called, for the test that compares them with the library. */
static napi_value slots(napi_env env, napi_callback_info info) {
  (void)info;
  static const char *const TABLE[] = {
#define ORT_TEXT(slot, result, name, arguments) TEXT(slot), #name,
      ORT_FUNCTIONS(ORT_TEXT)
#undef ORT_TEXT
  };
  napi_value list = NULL;
  napi_create_array(env, &list);
  for (uint32_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++) {
    napi_value text = NULL;
    napi_create_string_utf8(env, TABLE[i], NAPI_AUTO_LENGTH, &text);
    napi_set_element(env, list, i, text);
  }
  return list;
}

static void finalize_instance(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  instance *instance = data;
  if (instance->library != NULL) library_drop(instance->library);
  free(instance);
}

static const napi_property_descriptor EXPORTS[] = {
    {"load", NULL, load, NULL, NULL, NULL, napi_enumerable, NULL},
    {"cpuLevels", NULL, cpu_levels, NULL, NULL, NULL, napi_enumerable, NULL},
    {"slots", NULL, slots, NULL, NULL, NULL, napi_enumerable, NULL},
    {"createSession", NULL, create_session, NULL, NULL, NULL, napi_enumerable, NULL},
    {"releaseSession", NULL, release_session, NULL, NULL, NULL, napi_enumerable, NULL},
    {"createBinding", NULL, create_binding, NULL, NULL, NULL, napi_enumerable, NULL},
    {"bindInput", NULL, bind_input, NULL, NULL, NULL, napi_enumerable, NULL},
    {"bindOutput", NULL, bind_output, NULL, NULL, NULL, napi_enumerable, NULL},
    {"run", NULL, run_binding, NULL, NULL, NULL, napi_enumerable, NULL},
    {"cancel", NULL, cancel_run, NULL, NULL, NULL, napi_enumerable, NULL},
    {"releaseBinding", NULL, release_binding, NULL, NULL, NULL, napi_enumerable, NULL},
    {"runCalls", NULL, run_calls, NULL, NULL, NULL, napi_enumerable, NULL},
};

NAPI_MODULE_INIT() {
  instance *data = calloc(1, sizeof *data);
  if (data == NULL || napi_set_instance_data(env, data, finalize_instance, NULL) != napi_ok) {
    free(data);
    return throw_error(env, "native.memory", "The addon cannot start: out of memory.");
  }
  if (napi_define_properties(env, exports, sizeof EXPORTS / sizeof *EXPORTS, EXPORTS) != napi_ok) {
    return throw_napi(env);
  }
  return exports;
}
