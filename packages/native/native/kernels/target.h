/**
 * @file Code for one processor level inside a binary for all of them: everything between MP_TARGET_BEGIN(level) and
 * MP_TARGET_END is compiled for that level, and runs only after a check of `mp_context.cpu`.
 */
#ifndef MODELPRESS_TARGET_H
#define MODELPRESS_TARGET_H

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define MP_X86 1
#include <immintrin.h>
#else
#define MP_X86 0
#endif

#define MP_INLINE static inline __attribute__((always_inline))

#define MP_FEATURES_AVX2 "avx2,fma,f16c"
#define MP_FEATURES_AVX512 MP_FEATURES_AVX2 ",avx512f,avx512bw,avx512dq,avx512vl"
#define MP_FEATURES_AVX512_BF16 MP_FEATURES_AVX512 ",avx512bf16"
#define MP_FEATURES_AVX512_VNNI MP_FEATURES_AVX512 ",avx512vnni"

#define MP_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define MP_TARGET_BEGIN_(features) \
  MP_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define MP_TARGET_END MP_PRAGMA(clang attribute pop)
#else
#define MP_TARGET_BEGIN_(features) MP_PRAGMA(GCC push_options) MP_PRAGMA(GCC target(features))
#define MP_TARGET_END MP_PRAGMA(GCC pop_options)
#endif
#define MP_TARGET_BEGIN(level) MP_TARGET_BEGIN_(MP_FEATURES_##level)

#ifdef __clang__
#define MP_UNROLL MP_PRAGMA(clang loop unroll(full))
#else
#define MP_UNROLL MP_PRAGMA(GCC unroll 32)
#endif

#endif
