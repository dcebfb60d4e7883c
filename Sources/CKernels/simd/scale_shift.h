// Products and sums with constants of a row, included by elementwise.h, whose vocabulary it uses.

INLINE void f32_scale_shift_step(size_t n, const float *x, const float *factors, const float *shifts, float *y,
                                 struct eo_scale_shift_params p) {
    const f32s middle = clamp(load_f32(x, n) * load_f32(factors, n), p.middle_low, p.middle_high);
    store_f32(y, clamp(middle + load_f32(shifts, n), p.low, p.high), n);
}

#define QUANTIZED_SCALE_SHIFT(t, type, vector)                                                                         \
    INLINE void t##_scale_shift_step(size_t n, const type *x, const float *factors, const float *shifts, type *y,      \
                                     struct eo_scale_shift_params p) {                                                 \
        const f32s v = TO_F32(TO_S32(load_##t(x, n)) - p.zero_x) * load_f32(factors, n); /* one rounding */            \
        const f32s middle = round_even(clamp(v * p.scale, p.middle_low, p.middle_high));                               \
        const f32s sum = middle * p.middle_scale + load_f32(shifts, n);                                                \
        const f32s r = round_even(clamp(sum, p.low, p.high));                                                          \
        store_##t(y, __builtin_convertvector(TO_S32(r) + p.zero_y, vector), n);                                        \
    }
QUANTIZED_SCALE_SHIFT(s8, int8_t, s8s)
QUANTIZED_SCALE_SHIFT(u8, uint8_t, u8s)
QUANTIZED_SCALE_SHIFT(s16, int16_t, s16s)

#define SCALE_SHIFT(t, type)                                                                                           \
    static void K(t##_scale_shift)(size_t n, const void *x_, const float *factors, const float *shifts, void *y_,      \
                                   const struct eo_scale_shift_params *params) {                                       \
        const type *x = x_;                                                                                            \
        type *y = y_;                                                                                                  \
        const struct eo_scale_shift_params p = *params;                                                                \
        const size_t done = t##_scale_shift_blocks(n, x, factors, shifts, y, params);                                  \
        n -= done, x += done, y += done, factors += done, shifts += done;                                              \
        for (; n >= LANES; n -= LANES, x += LANES, y += LANES, factors += LANES, shifts += LANES)                      \
            t##_scale_shift_step(LANES, x, factors, shifts, y, p);                                                     \
        if (n > 0) t##_scale_shift_step(n, x, factors, shifts, y, p);                                                  \
    }
SCALE_SHIFT(f32, float)
SCALE_SHIFT(s8, int8_t)
SCALE_SHIFT(u8, uint8_t)
SCALE_SHIFT(s16, int16_t)
