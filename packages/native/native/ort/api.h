/**
 * @file The part of ONNX Runtime's C API that is called here, declared at its slots.
 *
 * `OrtGetApiBase()->GetApi(version)` returns a table of function pointers that only grows at its end: a slot never
 * changes its meaning. So a function is its number in that table and its signature; `api.spec.ts` proves them against
 * the loaded library. Strings are UTF-8 and null terminated; every function that returns a status returns NULL for
 * success and otherwise an object that `release_status` frees.
 */
#ifndef MODELPRESS_ORT_API_H
#define MODELPRESS_ORT_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define ORT_CALL __stdcall
#else
#define ORT_CALL
#endif

/** The oldest table that has every function below; the library of onnxruntime 1.18 and later knows it. */
#define ORT_API_VERSION 18

typedef struct ort_status ort_status;
typedef struct ort_env ort_env;
typedef struct ort_session ort_session;
typedef struct ort_session_options ort_session_options;
typedef struct ort_run_options ort_run_options;
typedef struct ort_value ort_value;
typedef struct ort_memory_info ort_memory_info;
typedef struct ort_allocator ort_allocator;
typedef struct ort_type_info ort_type_info;
typedef struct ort_tensor_info ort_tensor_info;
typedef struct ort_custom_op_domain ort_custom_op_domain;
typedef struct ort_kernel_info ort_kernel_info;
typedef struct ort_kernel_context ort_kernel_context;
typedef struct ort_shape_context ort_shape_context;
typedef struct ort_op_attribute ort_op_attribute;
typedef struct ort_custom_op ort_custom_op;

enum { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2, ORT_NOT_IMPLEMENTED = 9 };
enum { ORT_LOG_FATAL = 4 };
/** Element types, by their number in ONNX. */
enum { ORT_UNDEFINED = 0, ORT_FLOAT = 1, ORT_UINT8 = 2 };
/** What `get_onnx_type` says of a tensor. */
enum { ORT_TYPE_TENSOR = 1 };
enum { ORT_ARENA_ALLOCATOR = 1, ORT_MEMORY_DEFAULT = 0 };
enum { ORT_ATTRIBUTE_INT = 1, ORT_ATTRIBUTE_FLOAT = 3 };

/** F(slot, result, name, arguments) */
#define ORT_FUNCTIONS(F)                                                                                               \
  F(0, ort_status *, create_status, (int code, const char *message))                                                   \
  F(1, int, get_error_code, (const ort_status *status))                                                                \
  F(2, const char *, get_error_message, (const ort_status *status))                                                    \
  F(3, ort_status *, create_env, (int log_level, const char *log_id, ort_env **out))                                   \
  F(7, ort_status *, create_session,                                                                                   \
    (const ort_env *env, const char *path, const ort_session_options *options, ort_session **out))                     \
  F(8, ort_status *, create_session_from_array,                                                                        \
    (const ort_env *env, const void *model, size_t bytes, const ort_session_options *options, ort_session **out))      \
  F(9, ort_status *, run,                                                                                              \
    (ort_session * session, const ort_run_options *options, const char *const *input_names,                            \
     const ort_value *const *inputs, size_t input_count, const char *const *output_names, size_t output_count,         \
     ort_value **outputs))                                                                                             \
  F(10, ort_status *, create_session_options, (ort_session_options * *out))                                            \
  F(17, ort_status *, disable_memory_pattern, (ort_session_options * options))                                         \
  F(19, ort_status *, disable_cpu_arena, (ort_session_options * options))                                              \
  F(22, ort_status *, set_log_level, (ort_session_options * options, int level))                                       \
  F(23, ort_status *, set_optimization_level, (ort_session_options * options, int level))                              \
  F(24, ort_status *, set_intra_op_threads, (ort_session_options * options, int threads))                              \
  F(25, ort_status *, set_inter_op_threads, (ort_session_options * options, int threads))                              \
  F(26, ort_status *, create_custom_op_domain, (const char *name, ort_custom_op_domain **out))                         \
  F(27, ort_status *, custom_op_domain_add, (ort_custom_op_domain * domain, const ort_custom_op *op))                  \
  F(28, ort_status *, add_custom_op_domain, (ort_session_options * options, ort_custom_op_domain * domain))            \
  F(30, ort_status *, session_input_count, (const ort_session *session, size_t *out))                                  \
  F(31, ort_status *, session_output_count, (const ort_session *session, size_t *out))                                 \
  F(33, ort_status *, session_input_type, (const ort_session *session, size_t index, ort_type_info **out))             \
  F(34, ort_status *, session_output_type, (const ort_session *session, size_t index, ort_type_info **out))            \
  F(36, ort_status *, session_input_name,                                                                              \
    (const ort_session *session, size_t index, ort_allocator *allocator, char **out))                                  \
  F(37, ort_status *, session_output_name,                                                                             \
    (const ort_session *session, size_t index, ort_allocator *allocator, char **out))                                  \
  F(39, ort_status *, create_run_options, (ort_run_options * *out))                                                    \
  F(46, ort_status *, set_terminate, (ort_run_options * options))                                                      \
  F(47, ort_status *, unset_terminate, (ort_run_options * options))                                                    \
  F(49, ort_status *, create_tensor,                                                                                   \
    (const ort_memory_info *memory, void *data, size_t bytes, const int64_t *dims, size_t rank, int type,              \
     ort_value **out))                                                                                                 \
  F(51, ort_status *, get_tensor_data, (ort_value * value, void **out))                                                \
  F(55, ort_status *, get_tensor_info, (const ort_type_info *type, const ort_tensor_info **out))                       \
  F(56, ort_status *, get_onnx_type, (const ort_type_info *type, int *out))                                            \
  F(57, ort_status *, create_tensor_info, (ort_tensor_info * *out))                                                    \
  F(58, ort_status *, set_element_type, (ort_tensor_info * info, int type))                                            \
  F(59, ort_status *, set_dimensions, (ort_tensor_info * info, const int64_t *dims, size_t rank))                      \
  F(60, ort_status *, get_element_type, (const ort_tensor_info *info, int *out))                                       \
  F(61, ort_status *, get_rank, (const ort_tensor_info *info, size_t *out))                                            \
  F(62, ort_status *, get_dimensions, (const ort_tensor_info *info, int64_t *dims, size_t rank))                       \
  F(63, ort_status *, get_symbols, (const ort_tensor_info *info, const char **names, size_t rank))                     \
  F(65, ort_status *, get_value_info, (const ort_value *value, ort_tensor_info **out))                                 \
  F(69, ort_status *, create_cpu_memory_info, (int allocator, int memory, ort_memory_info **out))                      \
  F(76, ort_status *, allocator_free, (ort_allocator * allocator, void *memory))                                       \
  F(78, ort_status *, get_default_allocator, (ort_allocator * *out))                                                   \
  F(85, ort_status *, kernel_float, (const ort_kernel_info *info, const char *name, float *out))                       \
  F(86, ort_status *, kernel_int, (const ort_kernel_info *info, const char *name, int64_t *out))                       \
  F(88, ort_status *, kernel_input_count, (const ort_kernel_context *context, size_t *out))                            \
  F(89, ort_status *, kernel_output_count, (const ort_kernel_context *context, size_t *out))                           \
  F(90, ort_status *, kernel_input, (const ort_kernel_context *context, size_t index, const ort_value **out))          \
  F(91, ort_status *, kernel_output,                                                                                   \
    (ort_kernel_context * context, size_t index, const int64_t *dims, size_t rank, ort_value **out))                   \
  F(92, void, release_env, (ort_env * env))                                                                            \
  F(93, void, release_status, (ort_status * status))                                                                   \
  F(94, void, release_memory_info, (ort_memory_info * memory))                                                         \
  F(95, void, release_session, (ort_session * session))                                                                \
  F(96, void, release_value, (ort_value * value))                                                                      \
  F(97, void, release_run_options, (ort_run_options * options))                                                        \
  F(98, void, release_type_info, (ort_type_info * type))                                                               \
  F(99, void, release_tensor_info, (ort_tensor_info * info))                                                           \
  F(100, void, release_session_options, (ort_session_options * options))                                               \
  F(101, void, release_custom_op_domain, (ort_custom_op_domain * domain))                                              \
  F(130, ort_status *, add_session_config,                                                                             \
    (ort_session_options * options, const char *key, const char *value))                                               \
  F(249, ort_status *, kernel_constant_input,                                                                          \
    (const ort_kernel_info *info, size_t index, int *is_constant, const ort_value **out))                              \
  F(267, ort_status *, shape_input_count, (const ort_shape_context *context, size_t *out))                             \
  F(268, ort_status *, shape_input, (const ort_shape_context *context, size_t index, ort_tensor_info **out))           \
  F(269, ort_status *, shape_attribute,                                                                                \
    (const ort_shape_context *context, const char *name, const ort_op_attribute **out))                                \
  F(270, ort_status *, shape_output,                                                                                   \
    (const ort_shape_context *context, size_t index, const ort_tensor_info *info))                                     \
  F(272, ort_status *, read_attribute,                                                                                 \
    (const ort_op_attribute *attribute, int type, void *data, size_t bytes, size_t *out))                              \
  F(274, ort_status *, parallel_for,                                                                                   \
    (const ort_kernel_context *context, void (*task)(void *arg, size_t index), size_t total, size_t batches,           \
     void *arg))

/** The functions above, by name. */
typedef struct {
#define ORT_MEMBER(slot, result, name, arguments) result(ORT_CALL *name) arguments;
  ORT_FUNCTIONS(ORT_MEMBER)
#undef ORT_MEMBER
} ort_api;

/** What the library exports as `OrtGetApiBase`. */
typedef struct {
  const void *const *(ORT_CALL *get_api)(uint32_t version);
  const char *(ORT_CALL *get_version)(void);
} ort_api_base;

/** An operator as the library calls it, up to the members that API 18 reads; members that are NULL have a default. */
struct ort_custom_op {
  uint32_t version;
  void *(ORT_CALL *create_kernel_v1)(const ort_custom_op *op, const void *api, const ort_kernel_info *info);
  const char *(ORT_CALL *get_name)(const ort_custom_op *op);
  const char *(ORT_CALL *get_provider)(const ort_custom_op *op);
  int(ORT_CALL *get_input_type)(const ort_custom_op *op, size_t index);
  size_t(ORT_CALL *get_input_count)(const ort_custom_op *op);
  int(ORT_CALL *get_output_type)(const ort_custom_op *op, size_t index);
  size_t(ORT_CALL *get_output_count)(const ort_custom_op *op);
  void(ORT_CALL *compute_v1)(void *kernel, ort_kernel_context *context);
  void(ORT_CALL *destroy_kernel)(void *kernel);
  int(ORT_CALL *get_input_kind)(const ort_custom_op *op, size_t index);
  int(ORT_CALL *get_output_kind)(const ort_custom_op *op, size_t index);
  int(ORT_CALL *get_input_memory)(const ort_custom_op *op, size_t index);
  int(ORT_CALL *get_variadic_input_minimum)(const ort_custom_op *op);
  int(ORT_CALL *get_variadic_input_same_type)(const ort_custom_op *op);
  int(ORT_CALL *get_variadic_output_minimum)(const ort_custom_op *op);
  int(ORT_CALL *get_variadic_output_same_type)(const ort_custom_op *op);
  ort_status *(ORT_CALL *create_kernel)(const ort_custom_op *op, const void *api, const ort_kernel_info *info,
                                        void **out);
  ort_status *(ORT_CALL *compute)(void *kernel, ort_kernel_context *context);
  ort_status *(ORT_CALL *infer_shapes)(const ort_custom_op *op, ort_shape_context *context);
  int(ORT_CALL *get_start_version)(const ort_custom_op *op);
  int(ORT_CALL *get_end_version)(const ort_custom_op *op);
  /** Output `(*outputs)[i]` may use the memory of input `(*inputs)[i]`; returns how many such pairs there are. */
  size_t(ORT_CALL *get_in_place)(int **inputs, int **outputs);
  void(ORT_CALL *release_in_place)(int *inputs, int *outputs);
  size_t(ORT_CALL *get_aliases)(int **inputs, int **outputs);
  void(ORT_CALL *release_aliases)(int *inputs, int *outputs);
};

/** Kinds of an operator's inputs and outputs. */
enum { ORT_REQUIRED = 0, ORT_OPTIONAL = 1 };

#endif
