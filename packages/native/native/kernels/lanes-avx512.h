/** @file Sixteen words in a register. Include between MP_TARGET_BEGIN and MP_TARGET_END. */
#ifndef MODELPRESS_LANES_AVX512_H
#define MODELPRESS_LANES_AVX512_H

enum { LANES = 16 };

MP_INLINE __mmask16 first_lanes(size_t count) {
  return count >= LANES ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1u);
}

/** 16 x 16 words: rows become columns. */
MP_INLINE void transpose(__m512i *r) {
  __m512i t[16];
  MP_UNROLL
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  MP_UNROLL
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  MP_UNROLL
  for (int i = 0; i < 16; i++) {
    const int low = (i & 3) | (i & 8);
    t[i] = (i & 4) == 0 ? _mm512_shuffle_i32x4(r[low], r[low + 4], 0x88) : _mm512_shuffle_i32x4(r[low], r[low + 4], 0xdd);
  }
  MP_UNROLL
  for (int i = 0; i < 8; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

#endif
