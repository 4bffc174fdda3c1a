/** @file Y = X W + bias with a sparse W: its packed form (sparse-pack.h), and the product by panels of rows of X. */
#include "kernels.h"

#include <math.h>
#include <string.h>

#include "sparse-int8.h"
#include "sparse-pack.h"
#include "spread.h"
#include "target.h"

/** Each panel is shared by so many tasks that there are about this many, whatever the rows. */
enum { ENOUGH_TASKS = 16 };

static const char MAGIC[8] = {'M', 'P', 'S', 'P', 'A', 'R', 'S', 'E'};
static const size_t LARGEST_SIZE = INT32_MAX;
/** So that int32 holds the sum of as many products of an int8 and a byte. */
static const size_t LARGEST_INT8_INPUTS = INT32_MAX / (255 * 128);

_Static_assert(sizeof(mp_sparse_header) == 64, "the header is 64 bytes");

/** Outputs of a group, or 0 for an unknown pattern. */
static size_t width_of(uint32_t pattern) {
  switch (pattern) {
    case MP_SPARSE_UNSTRUCTURED:
      return 1;
    case MP_SPARSE_1X16:
    case MP_SPARSE_1X16_INT8:
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
  size_t inputs, values, scales, sums, end;
} sections;

/** Offsets of the sections. k, n <= 2^31 and entries < 2^32, so nothing overflows 64 bits. */
static sections sections_of(uint32_t pattern, size_t n, size_t entries) {
  const size_t width = width_of(pattern);
  const size_t groups = mp_divide_up(n, width);
  sections s = {.inputs = sizeof(mp_sparse_header) + aligned((groups + 1) * sizeof(uint32_t))};
  s.values = s.inputs + aligned(entries * sizeof(uint32_t));
  if (pattern != MP_SPARSE_1X16_INT8) {
    s.end = s.values + entries * width * sizeof(float);
    return s;
  }
  s.scales = s.values + aligned(entries * width);
  s.sums = s.scales + groups * width * sizeof(float);
  s.end = s.sums + groups * width * sizeof(int32_t);
  return s;
}

static int sizes_fit(uint32_t pattern, size_t k, size_t n) {
  const size_t most_inputs = pattern == MP_SPARSE_1X16_INT8 ? LARGEST_INT8_INPUTS : LARGEST_SIZE;
  return sizeof(size_t) == 8 && k <= most_inputs && n <= LARGEST_SIZE;
}

static int is_kept(const float *w, size_t n, size_t input, size_t first, size_t width) {
  for (size_t output = first; output < mp_smaller(first + width, n); output++) {
    if (w[input * n + output] != 0) return 1;
  }
  return 0;
}

/** Entries of one group. */
static size_t entries_of(mp_sparse_pattern pattern, const float *w, size_t k, size_t n, size_t group) {
  const size_t width = width_of(pattern);
  size_t entries = 0;
  for (size_t input = 0; input < k; input++) entries += (size_t)is_kept(w, n, input, group * width, width);
  return pattern == MP_SPARSE_1X16_INT8 ? mp_divide_up(entries, 4) * 4 : entries;
}

static size_t count_entries(mp_sparse_pattern pattern, const float *w, size_t k, size_t n) {
  size_t entries = 0;
  for (size_t group = 0; group < mp_divide_up(n, width_of(pattern)); group++) {
    entries += entries_of(pattern, w, k, n, group);
  }
  return entries;
}

size_t mp_sparse_pack_size(mp_sparse_pattern pattern, const float *w, size_t k, size_t n) {
  if (width_of(pattern) == 0 || !sizes_fit(pattern, k, n)) return 0;
  const size_t entries = count_entries(pattern, w, k, n);
  return entries > UINT32_MAX ? 0 : sections_of(pattern, n, entries).end;
}

/** Scales, rounded values and their sums of the outputs from `first` on; `inputs` are those of their group. */
static void pack_int8(const float *w, size_t k, size_t n, size_t first, const uint32_t *inputs, size_t entries,
                      int8_t *bytes, float *scales, int32_t *sums) {
  for (size_t i = 0; i < mp_smaller(MP_STRIP, n - first); i++) {
    float largest = 0;
    for (size_t input = 0; input < k; input++) largest = fmaxf(largest, fabsf(w[input * n + first + i]));
    scales[i] = largest / 127;
    for (size_t entry = 0; entry < entries && largest > 0; entry++) {
      if (entry > 0 && inputs[entry] == inputs[entry - 1]) continue;
      const int8_t value = (int8_t)rintf(w[inputs[entry] * n + first + i] * (127 / largest));
      bytes[entry / 4 * 64 + i * 4 + entry % 4] = value;
      sums[i] += value;
    }
  }
}

mp_status mp_sparse_pack(mp_sparse_pattern pattern, const float *w, size_t k, size_t n, void *pack, size_t bytes) {
  const size_t width = width_of(pattern);
  if (width == 0 || !sizes_fit(pattern, k, n)) return MP_INVALID;
  const size_t entries = count_entries(pattern, w, k, n);
  const sections at = sections_of(pattern, n, entries);
  if (entries > UINT32_MAX || bytes != at.end) return MP_INVALID;

  memset(pack, 0, at.end);
  mp_sparse_header header = {.version = MP_SPARSE_VERSION, .pattern = (uint32_t)pattern, .k = k, .n = n, .entries = entries};
  memcpy(header.magic, MAGIC, sizeof MAGIC);
  memcpy(pack, &header, sizeof header);
  uint32_t *starts = (uint32_t *)((char *)pack + sizeof header);
  uint32_t *inputs = (uint32_t *)((char *)pack + at.inputs);
  char *values = (char *)pack + at.values;
  for (size_t group = 0; group < mp_divide_up(n, width); group++) {
    const size_t first = group * width;
    const size_t start = starts[group];
    size_t entry = start;
    for (size_t input = 0; input < k; input++) {
      if (!is_kept(w, n, input, first, width)) continue;
      inputs[entry] = (uint32_t)input;
      if (pattern != MP_SPARSE_1X16_INT8) {
        memcpy((float *)values + entry * width, w + input * n + first, mp_smaller(width, n - first) * sizeof *w);
      }
      entry++;
    }
    if (pattern == MP_SPARSE_1X16_INT8) {
      for (; entry % 4 != 0; entry++) inputs[entry] = inputs[entry - 1];
      pack_int8(w, k, n, first, inputs + start, entry - start, (int8_t *)values + start * width,
                (float *)((char *)pack + at.scales) + first, (int32_t *)((char *)pack + at.sums) + first);
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
  const sections at = sections_of(header->pattern, w.n, w.entries);
  w.starts = (const uint32_t *)((const char *)pack + sizeof *header);
  w.inputs = (const uint32_t *)((const char *)pack + at.inputs);
  if (w.pattern != MP_SPARSE_1X16_INT8) {
    w.values = (const float *)((const char *)pack + at.values);
    return w;
  }
  w.bytes = (const int8_t *)pack + at.values;
  w.scales = (const float *)((const char *)pack + at.scales);
  w.sums = (const int32_t *)((const char *)pack + at.sums);
  return w;
}

/** Groups follow each other, and inputs ascend within [0, k); int8 has groups of whole fours, which may repeat one. */
static int entries_are_valid(const mp_sparse_view *w) {
  const int is_int8 = w->pattern == MP_SPARSE_1X16_INT8;
  if (w->starts[0] != 0 || w->starts[w->groups] != w->entries || (is_int8 && w->entries % 4 != 0)) return 0;
  for (size_t group = 0; group < w->groups; group++) {
    const size_t start = w->starts[group];
    const size_t end = w->starts[group + 1];
    if (start > end || end > w->entries || (is_int8 && start % 4 != 0)) return 0;
    for (size_t entry = start; entry < end; entry++) {
      if (w->inputs[entry] >= w->k) return 0;
      if (entry > start && w->inputs[entry] + (uint32_t)is_int8 <= w->inputs[entry - 1]) return 0;
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
      !sizes_fit(header.pattern, header.k, header.n) || header.entries > UINT32_MAX || header.zero[0] != 0 || header.zero[1] != 0 ||
      header.zero[2] != 0 || bytes != sections_of(header.pattern, header.n, header.entries).end) {
    return MP_CORRUPT;
  }
  const mp_sparse_view w = view_of(pack);
  if (!entries_are_valid(&w)) return MP_CORRUPT;
  *info = (mp_sparse_info){.pattern = w.pattern, .k = w.k, .n = w.n, .stored = w.entries * width};
  return MP_OK;
}

/** A product under way. Panels are float or bytes by pattern; `row_scales` belong to bytes. */
typedef struct {
  const mp_sparse_level *level;
  const mp_int8_level *int8;
  mp_sparse_view w;
  const float *x, *bias;
  float *y;
  void *panels;
  float *row_scales;
  size_t m, panel_rows, row_panels, strips, chunks;
} product;

static const mp_sparse_level *level_of(mp_cpu cpu) {
#if MP_X86
  if (cpu == MP_CPU_AVX512 || cpu == MP_CPU_AVX512_BF16) return &mp_sparse_avx512;
#endif
  (void)cpu;
  return &mp_sparse_scalar;
}

static const mp_int8_level *int8_level_of(mp_cpu cpu) {
#if MP_X86
  if ((cpu == MP_CPU_AVX512 || cpu == MP_CPU_AVX512_BF16) && mp_cpu_has_vnni()) return &mp_int8_vnni;
#endif
  (void)cpu;
  return &mp_int8_scalar;
}

static int uses_few_rows(const mp_sparse_level *level, mp_sparse_pattern pattern, size_t m) {
  return m <= MP_SPARSE_FEW_ROWS && pattern == MP_SPARSE_1X16 && level->few_rows != NULL;
}

/** Rows of a panel, and bytes of one for each input. */
static size_t panel_rows_of(mp_sparse_pattern pattern) {
  return pattern == MP_SPARSE_1X16_INT8 ? MP_INT8_ROWS : MP_SPARSE_ROWS;
}

static size_t panel_bytes(mp_sparse_pattern pattern, size_t k) {
  return pattern == MP_SPARSE_1X16_INT8 ? k * MP_INT8_ROWS : k * MP_SPARSE_ROWS * sizeof(float);
}

static void pack_task(void *argument, size_t panel) {
  const product *p = argument;
  const size_t row = panel * p->panel_rows;
  const size_t rows = mp_smaller(p->panel_rows, p->m - row);
  const float *x = p->x + row * p->w.k;
  char *to = (char *)p->panels + panel * panel_bytes(p->w.pattern, p->w.k);
  if (p->int8 != NULL) p->int8->pack_rows(x, rows, p->w.k, (uint8_t *)to, p->row_scales + row);
  else p->level->pack_rows(x, rows, p->w.k, (float *)to);
}

/** A panel, which stays in the second-level cache, times a chunk of strips, whose weights stream past it. */
static void multiply_task(void *argument, size_t index) {
  const product *p = argument;
  const size_t panel = index / p->chunks;
  const size_t chunk = index % p->chunks;
  const size_t row = panel * p->panel_rows;
  const size_t rows = mp_smaller(p->panel_rows, p->m - row);
  const char *from = (const char *)p->panels + panel * panel_bytes(p->w.pattern, p->w.k);
  const size_t last_strip = (chunk + 1) * p->strips / p->chunks;
  for (size_t strip = chunk * p->strips / p->chunks; strip < last_strip; strip++) {
    const size_t column = strip * MP_STRIP;
    const float *bias = p->bias != NULL ? p->bias + column : NULL;
    float *y = p->y + row * p->w.n + column;
    if (p->int8 != NULL) p->int8->strip(&p->w, strip, (const uint8_t *)from, p->row_scales + row, rows, bias, y);
    else p->level->strip(&p->w, strip, (const float *)from, rows, bias, y);
  }
}

/** Where there is one chunk: the panel is packed into the cache from which it is read. */
static void panel_task(void *argument, size_t panel) {
  pack_task(argument, panel);
  multiply_task(argument, panel);
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
  const size_t panels = mp_divide_up(m, panel_rows_of(info->pattern));
  return panels * (panel_bytes(info->pattern, info->k) + MP_INT8_ROWS * sizeof(float));
}

mp_status mp_sparse_gemm(const mp_context *context, const void *pack, const float *x, size_t m, const float *bias,
                         float *y, void *scratch) {
  if (!mp_cpu_supports(context->cpu)) return MP_UNSUPPORTED;
  product p = {.level = level_of(context->cpu), .w = view_of(pack), .x = x, .bias = bias, .y = y, .panels = scratch, .m = m};
  if (p.w.pattern == MP_SPARSE_1X16_INT8) p.int8 = int8_level_of(context->cpu);
  p.panel_rows = panel_rows_of(p.w.pattern);
  p.row_panels = mp_divide_up(m, p.panel_rows);
  if (scratch != NULL) p.row_scales = (float *)((char *)scratch + p.row_panels * panel_bytes(p.w.pattern, p.w.k));
  p.strips = mp_divide_up(p.w.n, MP_STRIP);
  const int few_rows = uses_few_rows(p.level, p.w.pattern, m);
  p.chunks = mp_smaller(p.strips, mp_divide_up(ENOUGH_TASKS, few_rows || m == 0 ? 1 : p.row_panels));
  if (few_rows) {
    mp_spread(context, few_rows_task, p.chunks, &p);
    return MP_OK;
  }
  if (p.chunks == 1) {
    mp_spread(context, panel_task, p.row_panels, &p);
    return MP_OK;
  }
  mp_spread(context, pack_task, p.row_panels, &p);
  mp_spread(context, multiply_task, p.row_panels * p.chunks, &p);
  return MP_OK;
}
