/** @file Loops over the memory of parameters on background threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../kernels/kernels.h"
#include "instance.h"

enum {
  MAX_ADDRESSES = 4,
  MAX_SCALARS = 7,
  /** A call as JavaScript lays it down: kernel, count, addresses, scalars. */
  CALL_NUMBERS = 2 + MAX_ADDRESSES + MAX_SCALARS,
  MAX_THREADS = 64
};

/** Bytes of an element at each address, in the order in which JavaScript gives them; 0: the kernel has no such address. */
static const size_t ELEMENT_BYTES[][MAX_ADDRESSES] = {
    [MP_SLAB_ADAMW] = {4, 4, 4, 4},  [MP_SLAB_ACCUMULATE] = {4, 4},  [MP_SLAB_SCALE] = {4},
    [MP_SLAB_EMA] = {4, 4},          [MP_SLAB_SUM_SQUARES] = {4},    [MP_SLAB_MASK] = {4, 1},
    [MP_SLAB_DROPOUT_MASK] = {4},
};
enum { KERNEL_COUNT = sizeof ELEMENT_BYTES / sizeof *ELEMENT_BYTES };

/** Calls that a promise stands for. */
typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  /** Keeps the memory alive. */
  napi_ref memory;
  mp_slab_call *calls;
  size_t count, threads;
  mp_status status;
} slab_run;

/* ---- on background threads ------------------------------------------------------------------------------------------- */

typedef struct {
  void (*task)(void *argument, size_t index);
  void *argument;
  size_t total;
  atomic_size_t next;
} task_queue;

static void *take_tasks(void *pointer) {
  task_queue *queue = pointer;
  for (size_t index; (index = atomic_fetch_add(&queue->next, 1)) < queue->total;) queue->task(queue->argument, index);
  return NULL;
}

/** `mp_parallel.run` over threads that end with the call; where the system gives fewer, the others do the work. */
static void run_on_threads(void *pool, void (*task)(void *argument, size_t index), size_t total, size_t max_batches,
                           void *argument) {
  (void)max_batches;
  const slab_run *run = pool;
  task_queue queue = {.task = task, .argument = argument, .total = total};
  pthread_t helpers[MAX_THREADS];
  size_t started = 0;
  while (started + 1 < run->threads && started + 1 < total &&
         pthread_create(&helpers[started], NULL, take_tasks, &queue) == 0) {
    started++;
  }
  take_tasks(&queue);
  for (size_t i = 0; i < started; i++) pthread_join(helpers[i], NULL);
}

static void execute_calls(napi_env env, void *data) {
  (void)env;
  slab_run *run = data;
  const mp_context context = {.cpu = mp_cpu_best(), .parallel = {.run = run_on_threads, .pool = run}};
  run->status = mp_slab_calls(&context, run->calls, run->count);
}

/* ---- on the environment's thread ------------------------------------------------------------------------------------- */

static void free_run(napi_env env, slab_run *run) {
  if (run->work != NULL) napi_delete_async_work(env, run->work);
  if (run->memory != NULL) napi_delete_reference(env, run->memory);
  free(run->calls);
  free(run);
}

static void complete_calls(napi_env env, napi_status async_status, void *data) {
  slab_run *run = data;
  if (async_status != napi_ok || run->status != MP_OK) {
    napi_reject_deferred(env, run->deferred, make_error(env, "native.stopped", "The process is ending."));
  } else {
    double total = 0;
    for (size_t i = 0; i < run->count; i++) total += run->calls[i].result;
    napi_value sum = NULL;
    napi_create_double(env, total, &sum);
    napi_resolve_deferred(env, run->deferred, sum);
  }
  free_run(env, run);
}

/** Reads a number that must be whole, from 0 to `limit`. */
static bool read_whole(double number, size_t limit, size_t *out) {
  if (!(number >= 0 && number <= (double)limit)) return false;
  *out = (size_t)number;
  return (double)*out == number;
}

/** One call from its numbers; false when it leaves the memory of `bytes` bytes or is no call. */
static bool read_call(const double *numbers, unsigned char *memory, size_t bytes, mp_slab_call *out) {
  size_t kernel = 0, count = 0;
  void *at[MAX_ADDRESSES] = {0};
  if (!read_whole(numbers[0], KERNEL_COUNT - 1, &kernel) || !read_whole(numbers[1], bytes, &count)) return false;
  for (size_t i = 0; i < MAX_ADDRESSES; i++) {
    const size_t element = ELEMENT_BYTES[kernel][i];
    size_t address = 0;
    if (element == 0) continue;
    if (!read_whole(numbers[2 + i], bytes, &address) || address % element != 0) return false;
    if (count > (bytes - address) / element) return false;
    at[i] = memory + address;
  }
  const double *scalars = numbers + 2 + MAX_ADDRESSES;
  *out = (mp_slab_call){.kernel = (mp_slab_kernel)kernel, .count = count, .target = at[0], .source = at[1]};
  switch (out->kernel) {
    case MP_SLAB_ADAMW:
      out->first_moment = at[2];
      out->second_moment = at[3];
      out->adamw = (mp_adamw_scalars){(float)scalars[0], (float)scalars[1], (float)scalars[2], (float)scalars[3],
                                      (float)scalars[4], (float)scalars[5], (float)scalars[6]};
      return true;
    case MP_SLAB_SCALE:
    case MP_SLAB_EMA:
      out->factor = (float)scalars[0];
      return true;
    case MP_SLAB_SUM_SQUARES:
      out->source = at[0];
      return true;
    case MP_SLAB_MASK:
      out->masks = at[1];
      return true;
    case MP_SLAB_DROPOUT_MASK:
      for (size_t i = 0; i < 3; i++) {
        size_t word = 0;
        if (!read_whole(scalars[i], UINT32_MAX, &word)) return false;
        *(i < 2 ? &out->key[i] : &out->threshold) = (uint32_t)word;
      }
      out->factor = (float)scalars[3];
      return true;
    case MP_SLAB_ACCUMULATE:
      return true;
  }
  return false;
}

/** Fills `run->calls`; false with an exception pending. */
static bool read_calls(napi_env env, const napi_value *arguments, slab_run *run) {
  void *memory = NULL, *numbers = NULL;
  size_t bytes = 0, length = 0;
  napi_typedarray_type type;
  int32_t threads = 0;
  if (napi_get_arraybuffer_info(env, arguments[0], &memory, &bytes) != napi_ok) {
    throw_error(env, "native.buffer", "The memory of parameters must be an ArrayBuffer.");
    return false;
  }
  if (napi_get_typedarray_info(env, arguments[1], &type, &length, &numbers, NULL, NULL) != napi_ok ||
      type != napi_float64_array || length % CALL_NUMBERS != 0) {
    throw_error(env, "native.argument", "Calls are a Float64Array of %d numbers each.", CALL_NUMBERS);
    return false;
  }
  if (napi_get_value_int32(env, arguments[2], &threads) != napi_ok || threads < 1) {
    throw_error(env, "native.argument", "\"threads\" must be a number from 1.");
    return false;
  }
  run->threads = threads < MAX_THREADS ? (size_t)threads : MAX_THREADS;
  run->count = length / CALL_NUMBERS;
  run->calls = calloc(run->count + 1, sizeof *run->calls);
  if (run->calls == NULL) {
    throw_error(env, "native.memory", "No memory for the calls.");
    return false;
  }
  for (size_t i = 0; i < run->count; i++) {
    if (read_call((const double *)numbers + i * CALL_NUMBERS, memory, bytes, &run->calls[i])) continue;
    throw_error(env, "native.argument", "Call %zu is none, or leaves the memory.", i);
    return false;
  }
  return napi_create_reference(env, arguments[0], 1, &run->memory) == napi_ok;
}

/** runCalls(memory, calls, threads): a promise of the sum of their results, computed on background threads. */
napi_value run_calls(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3], name = NULL, promise = NULL;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) return throw_napi(env);
  slab_run *run = calloc(1, sizeof *run);
  if (run == NULL) return throw_error(env, "native.memory", "No memory for the calls.");
  if (!read_calls(env, arguments, run)) {
    free_run(env, run);
    return throw_napi(env);
  }
  napi_create_string_utf8(env, "modelpress.runCalls", NAPI_AUTO_LENGTH, &name);
  if (napi_create_async_work(env, NULL, name, execute_calls, complete_calls, run, &run->work) != napi_ok ||
      napi_create_promise(env, &run->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, run->work) != napi_ok) {
    free_run(env, run);
    return throw_napi(env);
  }
  return promise;
}
