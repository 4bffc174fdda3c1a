#include "kernels.h"
#include "target.h"

#if MP_X86

/** What the compiler's run time reads from CPUID, and from XCR0 whether the operating system saves the registers. */
static int has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

int mp_cpu_supports(mp_cpu cpu) {
  __builtin_cpu_init();
  switch (cpu) {
    case MP_CPU_SCALAR:
      return 1;
    case MP_CPU_AVX2:
      return has_avx2();
    case MP_CPU_AVX512:
      return has_avx512();
    case MP_CPU_AVX512_BF16:
      return has_avx512() && __builtin_cpu_supports("avx512bf16");
    case MP_CPU_NEON:
      return 0;
  }
  return 0;
}

int mp_cpu_has_vnni(void) {
  __builtin_cpu_init();
  return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

#else

int mp_cpu_supports(mp_cpu cpu) {
  if (cpu == MP_CPU_SCALAR) return 1;
#ifdef __ARM_NEON
  if (cpu == MP_CPU_NEON) return 1;
#endif
  return 0;
}

int mp_cpu_has_vnni(void) {
  return 0;
}

#endif

mp_cpu mp_cpu_best(void) {
  static const mp_cpu levels[] = {MP_CPU_NEON, MP_CPU_AVX512_BF16, MP_CPU_AVX512, MP_CPU_AVX2};
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    if (mp_cpu_supports(levels[i])) return levels[i];
  }
  return MP_CPU_SCALAR;
}

const char *mp_cpu_name(mp_cpu cpu) {
  switch (cpu) {
    case MP_CPU_SCALAR:
      return "scalar";
    case MP_CPU_AVX2:
      return "avx2";
    case MP_CPU_AVX512:
      return "avx512";
    case MP_CPU_AVX512_BF16:
      return "avx512-bf16";
    case MP_CPU_NEON:
      return "neon";
  }
  return "unknown";
}
