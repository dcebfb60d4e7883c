// Sums and products of quantized bytes, 64 at a time: what the loops of elementwise.h compute, with saturating packs in
// place of limiting from below and rounding by a magic number.
#include <immintrin.h>

#define BYTE_BLOCKS

INLINE __m512 block_floats(int is_signed, const void *bytes, int32_t zero) {
    const __m128i quarter = _mm_loadu_si128(bytes);
    const __m512i wide = is_signed ? _mm512_cvtepi8_epi32(quarter) : _mm512_cvtepu8_epi32(quarter);
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(wide, _mm512_set1_epi32(zero)));
}

INLINE __m512i block_pack(int is_signed, const __m512i q[4], struct eo_quantized_binary_params p) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i zero = _mm512_set1_epi16((int16_t)p.zero_y);
    const __m512i low = _mm512_set1_epi8((char)((int32_t)p.low + p.zero_y));
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero);
    const __m512i bytes = is_signed ? _mm512_max_epi8(_mm512_packs_epi16(first, second), low)
                                    : _mm512_max_epu8(_mm512_packus_epi16(first, second), low);
    return _mm512_permutexvar_epi32(order, bytes);
}

// How many of `n` elements are done.
INLINE size_t byte_blocks(int is_signed, int adds, size_t step_a, size_t step_b, size_t n, const void *a_,
                          const void *b_, void *y_, struct eo_quantized_binary_params p) {
    const char *a = a_, *b = b_;
    const __m512 scale_a = _mm512_set1_ps(p.scale_a), scale_b = _mm512_set1_ps(p.scale_b);
    const __m512 high = _mm512_set1_ps(p.high);
    const __m512 single_a = _mm512_set1_ps((float)((is_signed ? (int8_t)*a : (uint8_t)*a) - p.zero_a));
    const __m512 single_b = _mm512_set1_ps((float)((is_signed ? (int8_t)*b : (uint8_t)*b) - p.zero_b));
    size_t done = 0;
    for (; done + 64 <= n; done += 64) {
        __m512i q[4];
#pragma clang loop unroll(full)
        for (int j = 0; j < 4; j++) {
            const __m512 u = step_a ? block_floats(is_signed, a + done + 16 * j, p.zero_a) : single_a;
            const __m512 v = step_b ? block_floats(is_signed, b + done + 16 * j, p.zero_b) : single_b;
            const __m512 f = adds ? _mm512_add_ps(_mm512_mul_ps(u, scale_a), _mm512_mul_ps(v, scale_b))
                                  : _mm512_mul_ps(_mm512_mul_ps(u, v), scale_a);
            q[j] = _mm512_cvtps_epi32(_mm512_min_ps(high, f));
        }
        _mm512_storeu_si512((char *)y_ + done, block_pack(is_signed, q, p));
    }
    return done;
}
#define s8_blocks(...) byte_blocks(1, __VA_ARGS__)
#define u8_blocks(...) byte_blocks(0, __VA_ARGS__)

// How many of `n` bytes were looked up: two tables of 128, the upper bit of each byte chooses between them.
#define BYTE_TABLES
static __attribute__((target("avx512vbmi"))) size_t look_up_blocks(size_t n, const uint8_t *x, uint8_t *y,
                                                                   const uint8_t *table) {
    if (n < 64 || !kernels_has_byte_tables()) return 0;
    __m512i part[4];
    for (int i = 0; i < 4; i++) part[i] = _mm512_loadu_si512(table + 64 * i);
    size_t done = 0;
    for (; done + 64 <= n; done += 64) {
        const __m512i index = _mm512_loadu_si512(x + done);
        const __m512i low = _mm512_permutex2var_epi8(part[0], index, part[1]);
        const __m512i high = _mm512_permutex2var_epi8(part[2], index, part[3]);
        _mm512_storeu_si512(y + done, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
    }
    return done;
}
