// Sums and products of quantized bytes, 64 at a time: what the loops of elementwise.h compute. A dot product with the
// weights 1, 0, 0, 0 widens a byte and subtracts its zero point at once, so of the four vectors of a block the j-th
// holds the numbers 4 l + j; saturating packs limit from both sides. Unsigned bytes count as signed ones less by 128.
#include <immintrin.h>

#define BYTE_BLOCKS
#define VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

// From four vectors to bytes: sum of rounded numbers and zero point, limited.
struct block_target {
    __m512i zero, low, high, flip;
};

INLINE struct block_target block_target(int is_signed, int32_t zero, float low, float high) {
    zero -= is_signed ? 0 : 128;
    return (struct block_target){_mm512_set1_epi16((int16_t)zero), _mm512_set1_epi8((char)((int32_t)low + zero)),
                                 _mm512_set1_epi8((char)((int32_t)high + zero)),
                                 _mm512_set1_epi8(is_signed ? 0 : (char)0x80)};
}

INLINE __m512i block_pack(const __m512i q[4], struct block_target to) {
    const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), to.zero);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), to.zero);
    const __m512i bytes = _mm512_packs_epi16(first, second);
    const __m512i limited = _mm512_min_epi8(_mm512_max_epi8(bytes, to.low), to.high);
    return _mm512_xor_si512(_mm512_shuffle_epi8(limited, order), to.flip);
}

// Numbers 4 l + j of signed bytes.
INLINE VNNI __m512 block_floats(__m512i bytes, int j, __m512i minus_zero) {
    return _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(minus_zero, _mm512_set1_epi32(1 << 8 * j), bytes));
}

// A single element is repeated.
struct block_source {
    const char *bytes;
    size_t step;
    char single[64];
};

INLINE void block_source(struct block_source *s, const void *bytes, size_t step) {
    s->bytes = bytes, s->step = 64 * step;
    if (step > 0) return;
    __builtin_memset(s->single, *(const char *)bytes, 64);
    s->bytes = s->single;
}

// How many of `n` elements are done.
static __attribute__((noinline)) VNNI size_t byte_blocks(int is_signed, int adds, size_t step_a, size_t step_b,
                                                         size_t n, const void *a_, const void *b_, void *y,
                                                         struct eo_quantized_binary_params p) {
    // No sum leaves 32 bits.
    const float size = __builtin_fabsf(p.scale_a) + (adds ? __builtin_fabsf(p.scale_b) : 0);
    if (n < 64 || !kernels_isa_available(ISA_AVX512VNNI) || !(size < 16384)) return 0;
    struct block_source a, b;
    block_source(&a, a_, step_a);
    block_source(&b, b_, step_b);
    const struct block_target to = block_target(is_signed, p.zero_y, p.low, p.high);
    const __m512 scale_a = _mm512_set1_ps(p.scale_a), scale_b = _mm512_set1_ps(p.scale_b);
    const int32_t bias = is_signed ? 0 : 128;
    const __m512i zero_a = _mm512_set1_epi32(bias - p.zero_a), zero_b = _mm512_set1_epi32(bias - p.zero_b);
#define BLOCKS(operation)                                                                                              \
    for (size_t done = 0; done + 64 <= n; done += 64, a.bytes += a.step, b.bytes += b.step) {                          \
        const __m512i bytes_a = _mm512_xor_si512(_mm512_loadu_si512(a.bytes), to.flip);                                \
        const __m512i bytes_b = _mm512_xor_si512(_mm512_loadu_si512(b.bytes), to.flip);                                \
        __m512i q[4];                                                                                                  \
        _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++) {                                               \
            const __m512 u = block_floats(bytes_a, j, zero_a), v = block_floats(bytes_b, j, zero_b);                   \
            q[j] = _mm512_cvtps_epi32(operation);                                                                      \
        }                                                                                                              \
        _mm512_storeu_si512((char *)y + done, block_pack(q, to));                                                      \
    }
    if (adds) {
        BLOCKS(_mm512_add_ps(_mm512_mul_ps(u, scale_a), _mm512_mul_ps(v, scale_b)))
    } else {
        BLOCKS(_mm512_mul_ps(_mm512_mul_ps(u, v), scale_a))
    }
#undef BLOCKS
    return n / 64 * 64;
}
#define s8_blocks(...) byte_blocks(1, __VA_ARGS__)
#define u8_blocks(...) byte_blocks(0, __VA_ARGS__)

// Constants of scale_shift_blocks: those of a block's numbers 4 l + j side by side.
static bool arrange_blocks(size_t n, float *constants) {
    if (!kernels_isa_available(ISA_AVX512VNNI)) return false;
    for (; n >= 64; n -= 64, constants += 64) {
        float given[64];
        __builtin_memcpy(given, constants, sizeof given);
        for (size_t i = 0; i < 64; i++) constants[i % 4 * 16 + i / 4] = given[i];
    }
    return true;
}

static __attribute__((noinline)) VNNI size_t scale_shift_blocks(int is_signed, size_t n, const void *x,
                                                                const float *factors, const float *shifts, void *y,
                                                                const struct eo_scale_shift_params *p) {
    if (!p->arranged) return 0;
    const struct block_target to = block_target(is_signed, p->zero_y, p->low, p->high);
    const __m512i zero = _mm512_set1_epi32((is_signed ? 0 : 128) - p->zero_x);
    const __m512 low = _mm512_set1_ps(p->middle_low), high = _mm512_set1_ps(p->middle_high);
    const __m512 scale = _mm512_set1_ps(p->scale), middle_scale = _mm512_set1_ps(p->middle_scale);
    const __m512 magic = _mm512_set1_ps(12582912.0f);
    for (size_t done = 0; done + 64 <= n; done += 64) {
        const __m512i bytes = _mm512_xor_si512(_mm512_loadu_si512((const char *)x + done), to.flip);
        __m512i q[4];
#pragma clang loop unroll(full)
        for (int j = 0; j < 4; j++) {
            const __m512 v = _mm512_mul_ps(block_floats(bytes, j, zero), _mm512_loadu_ps(factors + done + 16 * j));
            const __m512 m = _mm512_min_ps(high, _mm512_max_ps(low, _mm512_mul_ps(v, scale)));
            const __m512 middle = _mm512_sub_ps(_mm512_add_ps(m, magic), magic);
            const __m512 shift = _mm512_loadu_ps(shifts + done + 16 * j);
            q[j] = _mm512_cvtps_epi32(_mm512_add_ps(_mm512_mul_ps(middle, middle_scale), shift));
        }
        _mm512_storeu_si512((char *)y + done, block_pack(q, to));
    }
    return n / 64 * 64;
}
#define s8_scale_shift_blocks(...) scale_shift_blocks(1, __VA_ARGS__)
#define u8_scale_shift_blocks(...) scale_shift_blocks(0, __VA_ARGS__)

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
