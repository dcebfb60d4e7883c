// Reductions, included by elementwise.h, whose vocabulary they use. Sums have 16 lanes everywhere, or their bits would
// depend on the instruction set.

#define SUM_LANES 16
typedef float f32x16 __attribute__((ext_vector_type(SUM_LANES)));
LOAD_STORE_PART(f32x16, float, f32x16, 32)

INLINE float sum_of_lanes(f32x16 v) {
    for (int half = SUM_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) v[i] += v[i + half];
    return v[0];
}

INLINE void add_rows_step(const size_t rows, size_t n, size_t stride, const float *x, float *y) {
    f32s sum = load_f32(y, n);
    for (size_t r = 0; r < rows; r++) sum += load_f32(x + r * stride, n);
    store_f32(y, sum, n);
}

// Four rows at once: sums are read and written that much less.
static void K(f32_add_rows)(size_t n, size_t rows, size_t stride, const float *x, float *y) {
    for (size_t count; rows > 0; rows -= count, x += count * stride) {
        count = rows < 4 ? 1 : 4;
        size_t i = 0;
        for (; count == 4 && i + LANES <= n; i += LANES) add_rows_step(4, LANES, stride, x + i, y + i);
        for (; i < n; i += LANES) add_rows_step(count, n - i < LANES ? n - i : LANES, stride, x + i, y + i);
    }
}

static float K(f32_sum)(size_t n, const float *x) {
    f32x16 sum = 0;
    for (; n >= SUM_LANES; n -= SUM_LANES, x += SUM_LANES) sum += load_f32x16(x, SUM_LANES);
    if (n > 0) sum += load_f32x16(x, n);
    return sum_of_lanes(sum);
}

static float K(f32_sum_of_squares)(size_t n, const float *x) {
    f32x16 sum = 0;
    for (; n >= SUM_LANES; n -= SUM_LANES, x += SUM_LANES) sum += load_f32x16(x, SUM_LANES) * load_f32x16(x, SUM_LANES);
    if (n > 0) sum += load_f32x16(x, n) * load_f32x16(x, n);
    return sum_of_lanes(sum);
}

INLINE void layer_norm_step(size_t n, const float *x, const float *factors, const float *shifts, float *y, float mean,
                            float scale) {
    f32s v = (load_f32(x, n) - mean) * scale;
    if (factors) v *= load_f32(factors, n);
    if (shifts) v += load_f32(shifts, n);
    store_f32(y, v, n);
}

static void K(f32_layer_norm)(size_t n, const float *x, const float *factors, const float *shifts, float *y,
                              float epsilon) {
    const float mean = K(f32_sum)(n, x) / (float)n;
    f32x16 squares = 0;
    size_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES) {
        const f32x16 v = load_f32x16(x + i, SUM_LANES) - mean;
        squares += v * v;
    }
    float variance = sum_of_lanes(squares);
    for (; i < n; i++) variance += (x[i] - mean) * (x[i] - mean);
    const float scale = 1.0f / __builtin_sqrtf(variance / (float)n + epsilon);
    for (i = 0; i < n; i += LANES)
        layer_norm_step(n - i < LANES ? n - i : LANES, x + i, factors ? factors + i : 0, shifts ? shifts + i : 0, y + i,
                        mean, scale);
}

INLINE f32x16 scale_gradient(f32x16 x, f32x16 dy, struct eo_fake_quantize_params p) {
    const f32x16 v = x * p.inverse, magic = 12582912.0f;
    const f32x16 inside = ((v + magic) - magic) - v;
    f32x16 slope = v < p.low ? (f32x16)p.low : inside;
    slope = v > p.high ? (f32x16)p.high : slope;
    return dy * slope;
}

static float K(f32_fake_quantize_scale_gradient)(size_t n, const float *x, const float *dy,
                                                 const struct eo_fake_quantize_params *params) {
    f32x16 sum = 0;
    for (; n >= SUM_LANES; n -= SUM_LANES, x += SUM_LANES, dy += SUM_LANES)
        sum += scale_gradient(load_f32x16(x, SUM_LANES), load_f32x16(dy, SUM_LANES), *params);
    if (n > 0) sum += scale_gradient(load_f32x16(x, n), load_f32x16(dy, n), *params);
    return sum_of_lanes(sum);
}

// Comparisons of 16 numbers as 16 bits.
typedef int32_t s32x16 __attribute__((ext_vector_type(SUM_LANES)));
typedef bool bits16 __attribute__((ext_vector_type(SUM_LANES)));

INLINE bits16 passing(f32x16 x, struct eo_fake_quantize_params p) {
    const f32x16 v = x * p.inverse;
    return __builtin_convertvector(~((v < p.low) | (v > p.high)), bits16);
}

static void K(f32_passing)(size_t n, const float *x, uint8_t *bits, const struct eo_fake_quantize_params *params) {
    const struct eo_fake_quantize_params p = *params; // which bytes that are written might be
    for (; n >= SUM_LANES; n -= SUM_LANES, x += SUM_LANES, bits += SUM_LANES / 8) {
        const bits16 b = passing(load_f32x16(x, SUM_LANES), p);
        __builtin_memcpy(bits, &b, SUM_LANES / 8);
    }
    if (n == 0) return;
    const bits16 b = passing(load_f32x16(x, n), p);
    __builtin_memcpy(bits, &b, (n + 7) / 8);
}

INLINE f32x16 pass(f32x16 dy, const uint8_t *bits, size_t bytes) {
    bits16 b = 0;
    __builtin_memcpy(&b, bits, bytes);
    return (f32x16)((s32x16)dy & -__builtin_convertvector(b, s32x16));
}

static void K(f32_pass)(size_t n, const float *dy, const uint8_t *bits, float *dx) {
    for (; n >= SUM_LANES; n -= SUM_LANES, dy += SUM_LANES, dx += SUM_LANES, bits += SUM_LANES / 8)
        store_f32x16(dx, pass(load_f32x16(dy, SUM_LANES), bits, SUM_LANES / 8), SUM_LANES);
    if (n > 0) store_f32x16(dx, pass(load_f32x16(dy, n), bits, (n + 7) / 8), n);
}

#define EXTREME(name, start, better)                                                                                   \
    static float K(name)(size_t n, const float *x) {                                                                   \
        f32s best = start;                                                                                             \
        for (; n >= LANES; n -= LANES, x += LANES) {                                                                   \
            const f32s v = load_f32(x, LANES);                                                                         \
            best = v better best ? v : best;                                                                           \
        }                                                                                                              \
        for (int half = LANES / 2; half > 0; half /= 2)                                                                \
            for (int i = 0; i < half; i++) best[i] = best[i + half] better best[i] ? best[i + half] : best[i];         \
        float result = best[0];                                                                                        \
        for (; n > 0; n--, x++) result = *x better result ? *x : result;                                               \
        return result;                                                                                                 \
    }
EXTREME(f32_maximum, -INFINITY, >)
EXTREME(f32_minimum, INFINITY, <)

INLINE void exp_step(size_t n, const float *x, float *y, float largest, float beta) {
    store_f32(y, exp_normal((load_f32(x, n) - largest) * beta), n);
}

static float K(f32_exp_sum)(size_t n, const float *x, float *y, float largest, float beta) {
    f32x16 sum = 0;
    for (; n >= SUM_LANES; n -= SUM_LANES, x += SUM_LANES, y += SUM_LANES) {
        for (size_t i = 0; i < SUM_LANES; i += LANES) exp_step(LANES, x + i, y + i, largest, beta);
        sum += load_f32x16(y, SUM_LANES);
    }
    for (size_t i = 0; i < n; i += LANES) exp_step(n - i < LANES ? n - i : LANES, x + i, y + i, largest, beta);
    if (n > 0) sum += load_f32x16(y, n);
    return sum_of_lanes(sum);
}

#define INTEGER_SUMS(t, type)                                                                                          \
    static int32_t K(t##_sum)(size_t n, const void *x) {                                                               \
        int32_t sum = 0;                                                                                               \
        for (size_t i = 0; i < n; i++) sum += ((const type *)x)[i];                                                    \
        return sum;                                                                                                    \
    }                                                                                                                  \
    static void K(t##_add_rows)(size_t n, size_t rows, size_t stride, const void *x, int32_t *sums) {                  \
        size_t i = 0;                                                                                                  \
        for (; i + SUM_LANES <= n; i += SUM_LANES) {                                                                   \
            s32x16 sum;                                                                                                \
            __builtin_memcpy(&sum, sums + i, sizeof sum);                                                              \
            _Pragma("clang loop unroll(disable)") for (size_t r = 0; r < rows; r++) {                                  \
                type v __attribute__((ext_vector_type(SUM_LANES)));                                                    \
                __builtin_memcpy(&v, (const type *)x + r * stride + i, sizeof v);                                      \
                sum += __builtin_convertvector(v, s32x16);                                                             \
            }                                                                                                          \
            __builtin_memcpy(sums + i, &sum, sizeof sum);                                                              \
        }                                                                                                              \
        for (; i < n; i++)                                                                                             \
            _Pragma("clang loop vectorize(disable) unroll(disable)") for (size_t r = 0; r < rows; r++) sums[i] +=      \
                ((const type *)x)[r * stride + i];                                                                     \
    }
INTEGER_SUMS(s8, int8_t)
INTEGER_SUMS(u8, uint8_t)
INTEGER_SUMS(s16, int16_t)

typedef int64_t s64s __attribute__((ext_vector_type(LANES)));

// Products fit 32 bits, their sums do not.
INLINE s64s add_products(s64s sum, const int16_t *a, const int16_t *b, size_t n) {
    return sum + __builtin_convertvector(TO_S32(load_s16(a, n)) * TO_S32(load_s16(b, n)), s64s);
}

static void K(s16_dots)(size_t n, size_t count, const int16_t *a, size_t step_a, const int16_t *b, size_t step_b,
                        int64_t *y) {
    for (; count > 0; count--, a += step_a, b += step_b) {
        s64s sum = 0;
        size_t k = 0;
        for (; k + LANES <= n; k += LANES) sum = add_products(sum, a + k, b + k, LANES);
        if (k < n) sum = add_products(sum, a + k, b + k, n - k);
        *y++ = __builtin_reduce_add(sum);
    }
}
