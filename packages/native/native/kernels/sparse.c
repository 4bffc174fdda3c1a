/** @file Y = X W + bias with a sparse W: its packed form (sparse-pack.h), and the product by panels of rows of X. */
#include "kernels.h"

#include <string.h>

#include "sparse-pack.h"
#include "spread.h"
#include "target.h"

/** Each panel is shared by so many tasks that there are about this many, whatever the rows. */
enum { ENOUGH_TASKS = 16 };

static const char MAGIC[8] = {'M', 'P', 'S', 'P', 'A', 'R', 'S', 'E'};
static const size_t LARGEST_SIZE = INT32_MAX;

_Static_assert(sizeof(mp_sparse_header) == 64, "the header is 64 bytes");

/** Outputs of a group, or 0 for an unknown pattern. */
static size_t width_of(uint32_t pattern) {
  switch (pattern) {
    case MP_SPARSE_UNSTRUCTURED:
      return 1;
    case MP_SPARSE_1X16:
      return 16;
    case MP_SPARSE_4X1:
      return 4;
    default:
      return 0;
  }
}

static size_t aligned(size_t bytes) {
  return mp_divide_up(bytes, 64) * 64;
}

typedef struct {
  size_t inputs, values, end;
} sections;

/** Offsets of the sections. k, n <= 2^31 and entries < 2^32, so nothing overflows 64 bits. */
static sections sections_of(size_t groups, size_t entries, size_t width) {
  sections s;
  s.inputs = sizeof(mp_sparse_header) + aligned((groups + 1) * sizeof(uint32_t));
  s.values = s.inputs + aligned(entries * sizeof(uint32_t));
  s.end = s.values + entries * width * sizeof(float);
  return s;
}

static int sizes_fit(size_t k, size_t n) {
  return sizeof(size_t) == 8 && k <= LARGEST_SIZE && n <= LARGEST_SIZE;
}

static int is_kept(const float *w, size_t n, size_t input, size_t first, size_t width) {
  for (size_t output = first; output < mp_smaller(first + width, n); output++) {
    if (w[input * n + output] != 0) return 1;
  }
  return 0;
}

/** Entries of all groups, row by row through W. */
static size_t count_entries(const float *w, size_t k, size_t n, size_t width) {
  size_t entries = 0;
  for (size_t input = 0; input < k; input++) {
    for (size_t first = 0; first < n; first += width) entries += (size_t)is_kept(w, n, input, first, width);
  }
  return entries;
}

size_t mp_sparse_pack_size(mp_sparse_pattern pattern, const float *w, size_t k, size_t n) {
  const size_t width = width_of(pattern);
  if (width == 0 || !sizes_fit(k, n)) return 0;
  const size_t entries = count_entries(w, k, n, width);
  return entries > UINT32_MAX ? 0 : sections_of(mp_divide_up(n, width), entries, width).end;
}

mp_status mp_sparse_pack(mp_sparse_pattern pattern, const float *w, size_t k, size_t n, void *pack, size_t bytes) {
  const size_t width = width_of(pattern);
  if (width == 0 || !sizes_fit(k, n)) return MP_INVALID;
  const size_t entries = count_entries(w, k, n, width);
  const size_t groups = mp_divide_up(n, width);
  const sections at = sections_of(groups, entries, width);
  if (entries > UINT32_MAX || bytes != at.end) return MP_INVALID;

  memset(pack, 0, at.end);
  mp_sparse_header header = {.version = MP_SPARSE_VERSION, .pattern = (uint32_t)pattern, .k = k, .n = n, .entries = entries};
  memcpy(header.magic, MAGIC, sizeof MAGIC);
  memcpy(pack, &header, sizeof header);
  uint32_t *starts = (uint32_t *)((char *)pack + sizeof header);
  uint32_t *inputs = (uint32_t *)((char *)pack + at.inputs);
  float *values = (float *)((char *)pack + at.values);
  size_t entry = 0;
  for (size_t group = 0; group < groups; group++) {
    const size_t first = group * width;
    for (size_t input = 0; input < k; input++) {
      if (!is_kept(w, n, input, first, width)) continue;
      inputs[entry] = (uint32_t)input;
      memcpy(values + entry * width, w + input * n + first, mp_smaller(width, n - first) * sizeof *w);
      entry++;
    }
    starts[group + 1] = (uint32_t)entry;
  }
  return MP_OK;
}

static mp_sparse_view view_of(const void *pack) {
  const mp_sparse_header *header = pack;
  mp_sparse_view w = {
      .pattern = (mp_sparse_pattern)header->pattern,
      .k = header->k,
      .n = header->n,
      .width = width_of(header->pattern),
      .entries = header->entries,
  };
  w.groups = mp_divide_up(w.n, w.width);
  const sections at = sections_of(w.groups, w.entries, w.width);
  w.starts = (const uint32_t *)((const char *)pack + sizeof *header);
  w.inputs = (const uint32_t *)((const char *)pack + at.inputs);
  w.values = (const float *)((const char *)pack + at.values);
  return w;
}

/** Groups follow each other, and inputs ascend within [0, k). */
static int entries_are_valid(const mp_sparse_view *w) {
  if (w->starts[0] != 0 || w->starts[w->groups] != w->entries) return 0;
  for (size_t group = 0; group < w->groups; group++) {
    const size_t start = w->starts[group];
    const size_t end = w->starts[group + 1];
    if (start > end || end > w->entries) return 0;
    for (size_t entry = start; entry < end; entry++) {
      if (w->inputs[entry] >= w->k) return 0;
      if (entry > start && w->inputs[entry] <= w->inputs[entry - 1]) return 0;
    }
  }
  return 1;
}

mp_status mp_sparse_check(const void *pack, size_t bytes, mp_sparse_info *info) {
  mp_sparse_header header;
  if (bytes < sizeof header || (uintptr_t)pack % MP_ALIGNMENT != 0) return MP_CORRUPT;
  memcpy(&header, pack, sizeof header);
  const size_t width = width_of(header.pattern);
  if (memcmp(header.magic, MAGIC, sizeof MAGIC) != 0 || header.version != MP_SPARSE_VERSION || width == 0 ||
      !sizes_fit(header.k, header.n) || header.entries > UINT32_MAX || header.zero[0] != 0 || header.zero[1] != 0 ||
      header.zero[2] != 0 || bytes != sections_of(mp_divide_up(header.n, width), header.entries, width).end) {
    return MP_CORRUPT;
  }
  const mp_sparse_view w = view_of(pack);
  if (!entries_are_valid(&w)) return MP_CORRUPT;
  *info = (mp_sparse_info){.pattern = w.pattern, .k = w.k, .n = w.n, .stored = w.entries * width};
  return MP_OK;
}

typedef struct {
  const mp_sparse_level *level;
  mp_sparse_view w;
  const float *x, *bias;
  float *y, *panels;
  size_t m, row_panels, strips, chunks;
} product;

static int uses_few_rows(const mp_sparse_level *level, mp_sparse_pattern pattern, size_t m) {
  return m <= MP_SPARSE_FEW_ROWS && pattern == MP_SPARSE_1X16 && level->few_rows != NULL;
}

static const mp_sparse_level *level_of(mp_cpu cpu) {
#if MP_X86
  if (cpu == MP_CPU_AVX512 || cpu == MP_CPU_AVX512_BF16) return &mp_sparse_avx512;
#endif
  (void)cpu;
  return &mp_sparse_scalar;
}

static void pack_task(void *argument, size_t panel) {
  const product *p = argument;
  const size_t row = panel * MP_SPARSE_ROWS;
  p->level->pack_rows(p->x + row * p->w.k, mp_smaller(MP_SPARSE_ROWS, p->m - row), p->w.k,
                      p->panels + panel * MP_SPARSE_ROWS * p->w.k);
}

/** A panel, which stays in the second-level cache, times a chunk of strips, whose weights stream past it. */
static void multiply_task(void *argument, size_t index) {
  const product *p = argument;
  const size_t panel = index / p->chunks;
  const size_t chunk = index % p->chunks;
  const size_t row = panel * MP_SPARSE_ROWS;
  const size_t rows = mp_smaller(MP_SPARSE_ROWS, p->m - row);
  const size_t last_strip = (chunk + 1) * p->strips / p->chunks;
  for (size_t strip = chunk * p->strips / p->chunks; strip < last_strip; strip++) {
    const size_t column = strip * MP_STRIP;
    p->level->strip(&p->w, strip, p->panels + panel * MP_SPARSE_ROWS * p->w.k, rows,
                    p->bias != NULL ? p->bias + column : NULL, p->y + row * p->w.n + column);
  }
}

static void few_rows_task(void *argument, size_t chunk) {
  const product *p = argument;
  const size_t last_strip = (chunk + 1) * p->strips / p->chunks;
  for (size_t strip = chunk * p->strips / p->chunks; strip < last_strip; strip++) {
    const size_t column = strip * MP_STRIP;
    p->level->few_rows(&p->w, strip, p->x, p->m, p->bias != NULL ? p->bias + column : NULL, p->y + column);
  }
}

size_t mp_sparse_gemm_scratch(const mp_context *context, const mp_sparse_info *info, size_t m) {
  if (uses_few_rows(level_of(context->cpu), info->pattern, m)) return 0;
  return mp_divide_up(m, MP_SPARSE_ROWS) * MP_SPARSE_ROWS * info->k * sizeof(float);
}

mp_status mp_sparse_gemm(const mp_context *context, const void *pack, const float *x, size_t m, const float *bias,
                         float *y, void *scratch) {
  if (!mp_cpu_supports(context->cpu)) return MP_UNSUPPORTED;
  product p = {.level = level_of(context->cpu), .w = view_of(pack), .x = x, .bias = bias, .y = y, .panels = scratch, .m = m};
  p.row_panels = mp_divide_up(m, MP_SPARSE_ROWS);
  p.strips = mp_divide_up(p.w.n, MP_STRIP);
  const int few_rows = uses_few_rows(p.level, p.w.pattern, m);
  p.chunks = mp_smaller(p.strips, mp_divide_up(ENOUGH_TASKS, few_rows || m == 0 ? 1 : p.row_panels));
  if (few_rows) {
    mp_spread(context, few_rows_task, p.chunks, &p);
    return MP_OK;
  }
  mp_spread(context, pack_task, p.row_panels, &p);
  mp_spread(context, multiply_task, p.row_panels * p.chunks, &p);
  return MP_OK;
}
