// Where a row has its greatest number, a part of elementwise.h.

typedef uint8_t u8x16 __attribute__((ext_vector_type(SUM_LANES)));

INLINE float f32_key(float x, uint32_t flip) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    bits ^= flip;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}
INLINE f32x16 f32_keys(const float *x, uint32_t flip) {
    return (f32x16)((s32x16)load_f32x16(x, SUM_LANES) ^ (int32_t)flip);
}
INLINE float f32_greatest(f32x16 v) {
    for (int half = SUM_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) v[i] = v[i + half] > v[i] ? v[i + half] : v[i];
    return v[0];
}

INLINE uint8_t x8_key(uint8_t x, uint32_t flip) { return x ^ (uint8_t)flip; }
INLINE u8x16 x8_keys(const uint8_t *x, uint32_t flip) {
    u8x16 v;
    __builtin_memcpy(&v, x, sizeof v);
    return v ^ (uint8_t)flip;
}
INLINE uint8_t x8_greatest(u8x16 v) { return __builtin_reduce_max(v); }

#if LANES > 4
// The maximum, then the first block that has it; the last block ends with the row.
#define PLACE_OF_GREATEST(t, type, vector, least)                                                                      \
    INLINE size_t t##_place_of_greatest(size_t n, const type *x, uint32_t flip) {                                      \
        vector all = least;                                                                                            \
        _Pragma("clang loop unroll(disable)") for (size_t i = 0; i < n; i += SUM_LANES) {                              \
            const vector v = t##_keys(x + (n - i < SUM_LANES ? n - SUM_LANES : i), flip);                              \
            all = v > all ? v : all;                                                                                   \
        }                                                                                                              \
        const type greatest = t##_greatest(all);                                                                       \
        _Pragma("clang loop unroll(disable)") for (size_t i = 0; i < n; i += SUM_LANES) {                              \
            const size_t from = n - i < SUM_LANES ? n - SUM_LANES : i;                                                 \
            const bits16 found = __builtin_convertvector(t##_keys(x + from, flip) == greatest, bits16);                \
            uint16_t bits;                                                                                             \
            __builtin_memcpy(&bits, &found, sizeof bits);                                                              \
            if (bits) return from + (size_t)__builtin_ctz(bits);                                                       \
        }                                                                                                              \
        return 0; /* nothing but NaN */                                                                                \
    }
#else
#define PLACE_OF_GREATEST(t, type, vector, least)                                                                      \
    INLINE size_t t##_place_of_greatest(size_t n, const type *x, uint32_t flip) {                                      \
        size_t place = 0;                                                                                              \
        type greatest = t##_key(x[0], flip);                                                                           \
        _Pragma("clang loop unroll(disable)") for (size_t i = 1; i < n; i++) {                                         \
            const type v = t##_key(x[i], flip);                                                                        \
            const bool is_greater = v > greatest || (greatest != greatest && v == v);                                  \
            greatest = is_greater ? v : greatest;                                                                      \
            place = is_greater ? i : place;                                                                            \
        }                                                                                                              \
        return place;                                                                                                  \
    }
#endif

#define GREATEST_PLACE(t, type, vector, least)                                                                         \
    PLACE_OF_GREATEST(t, type, vector, least)                                                                          \
    static void K(t##_greatest_place)(const struct eo_greatest_place *search, const void *x_, void *places) {          \
        const struct eo_greatest_place s = *search;                                                                    \
        const type *x = x_;                                                                                            \
        if (LANES > 4 && s.n < SUM_LANES) {                                                                            \
            eo_elementwise_scalar.t##_greatest_place(search, x, places);                                               \
            return;                                                                                                    \
        }                                                                                                              \
        for (size_t row = 0; row < s.rows; row++, x += s.stride) {                                                     \
            const size_t place = t##_place_of_greatest(s.n, x, s.flip);                                                \
            if (s.wide)                                                                                                \
                ((int64_t *)places)[row] = (int64_t)place;                                                             \
            else                                                                                                       \
                ((int32_t *)places)[row] = (int32_t)place;                                                             \
        }                                                                                                              \
    }
GREATEST_PLACE(f32, float, f32x16, -INFINITY)
GREATEST_PLACE(x8, uint8_t, u8x16, 0)
