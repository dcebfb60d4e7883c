// The element kernels, compiled once for each instruction set: the including file defines K(name) as the name with the
// instruction set's suffix, TABLE as the table to fill, ISA as its level, and LANES, numbers per step: the compiler
// splits vectors that the processor does not have.
#include "../include/elementwise.h"
#include <math.h>

// Vectors are passed between inlined functions only.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float f32s __attribute__((ext_vector_type(LANES)));
typedef int32_t s32s __attribute__((ext_vector_type(LANES)));
typedef int16_t s16s __attribute__((ext_vector_type(LANES)));
typedef int8_t s8s __attribute__((ext_vector_type(LANES)));
typedef uint8_t u8s __attribute__((ext_vector_type(LANES)));
typedef uint16_t u16s __attribute__((ext_vector_type(LANES)));

#define INLINE static inline __attribute__((always_inline))

// load_T(p, n) reads the first n lanes, the others are zero; store_T writes n lanes.
#define LOAD_STORE(name, type, vector)                                                                                 \
    INLINE vector load_##name(const type *p, size_t n) {                                                               \
        vector v = 0;                                                                                                  \
        __builtin_memcpy(&v, p, n * sizeof *p);                                                                        \
        return v;                                                                                                      \
    }                                                                                                                  \
    INLINE void store_##name(type *p, vector v, size_t n) { __builtin_memcpy(p, &v, n * sizeof *p); }
// The same where n is not always all lanes. An instruction set may have this.
#ifndef LOAD_STORE_PART
#define LOAD_STORE_PART(name, type, vector, bits) LOAD_STORE(name, type, vector)
#endif
LOAD_STORE_PART(f32, float, f32s, 32)
LOAD_STORE_PART(s32, int32_t, s32s, 32)
LOAD_STORE_PART(s16, int16_t, s16s, 16)
LOAD_STORE_PART(s8, int8_t, s8s, 8)
LOAD_STORE_PART(u8, uint8_t, u8s, 8)
LOAD_STORE_PART(u16, uint16_t, u16s, 16)

#define TO_S32(v) __builtin_convertvector(v, s32s)
#define TO_F32(v) __builtin_convertvector(v, f32s)
#define BITS(v) ((s32s)(v))
#define FLOATS(v) ((f32s)(v))

// min(max(v, low), high), NaN staying NaN.
INLINE f32s clamp(f32s v, f32s low, f32s high) {
    v = low > v ? low : v;
    return high < v ? high : v;
}

// a * b + c in one rounding, on every processor: one that has no instruction for it calls the C library.
#ifndef FUSED
#define FUSED INLINE
#endif
FUSED f32s fused(f32s a, f32s b, f32s c) { return __builtin_elementwise_fma(a, b, c); }

// To the nearest integer, ties to even, for |v| < 2^22: adding 1.5 * 2^23 leaves no bits for a fraction.
static const float magic = 12582912.0f;
INLINE f32s round_even(f32s v) { return (v + magic) - magic; }

// Splits v into n ln 2 + r with |r| <= ln 2 / 2; returns r. ln 2 is taken in two parts (Cody and Waite, 1980).
INLINE f32s reduce_by_ln2(f32s v, f32s *n) {
    *n = fused(v, 1.44269504f, magic) - magic;
    return fused(*n, 2.12194440e-4f, fused(*n, -0.693359375f, v));
}

// exp(r) - 1 for |r| <= ln 2 / 2: r + r^2 q(r), q minimax of degree 4, relative error 1.4e-8 before rounding.
INLINE f32s expm1_reduced(f32s r) {
    f32s q = 1.3882501e-3f;
    q = fused(q, r, 8.3665205e-3f);
    q = fused(q, r, 4.1667201e-2f);
    q = fused(q, r, 1.6666543e-1f);
    q = fused(q, r, 4.9999997e-1f);
    return fused(r * r, q, r);
}

// 2^n for integers -126 <= n <= 127.
INLINE f32s power_of_two(s32s n) { return FLOATS((n + 127) << 23); }

// x 2^n for whole numbers |n| < 200 (a NaN counts as 0), in two factors, so that the ends of the range come out as 0
// and infinity. An instruction set may have this.
#ifndef SCALE_BY_POWER
#define SCALE_BY_POWER scale_by_power
INLINE f32s scale_by_power(f32s x, f32s n) {
    const s32s whole = TO_S32(n == n ? n : 0.0f), half = whole >> 1;
    return (x * power_of_two(half)) * power_of_two(whole - half);
}
#endif

// 2^n for whole numbers |n| < 127; an instruction set may have this. A NaN may give any number.
#ifndef POWER_OF_TWO
#define POWER_OF_TWO(n) power_of_two(TO_S32(n == n ? n : 0.0f))
#endif

// exp(v), relative error below 2e-7, for v from `lowest` on: -104, where it comes out as 0, or more.
INLINE f32s exp_from(float lowest, f32s v) {
    f32s n;
    const f32s r = reduce_by_ln2(clamp(v, lowest, 89.0f), &n);
    return SCALE_BY_POWER(1.0f + expm1_reduced(r), n);
}
INLINE f32s exp_f32(f32s v) { return exp_from(-104.0f, v); }
// The same, but 0 instead of what is below the normal numbers: those take some processors three times as long, and
// masked attention is full of them.
INLINE f32s exp_normal(f32s v) {
    const float lowest = -87.336f;
    return v < lowest ? 0.0f : exp_from(lowest, v);
}

// exp(v) - 1 for |v| <= 87, relative error below 4e-7.
INLINE f32s expm1_f32(f32s v) {
    f32s n;
    const f32s r = reduce_by_ln2(v, &n);
    const f32s scale = POWER_OF_TWO(n);
    return fused(scale, expm1_reduced(r), scale - 1.0f);
}

// v < 0: exp(v) - 1; else v.
INLINE f32s elu_f32(f32s v) { return v < 0.0f ? expm1_f32(clamp(v, -80.0f, 0.0f)) : v; }

INLINE f32s logistic_f32(f32s v) { return 1.0f / (1.0f + exp_f32(-v)); }

// e / (e + 2), e = exp(2 v) - 1. Relative error below 4e-7.
INLINE f32s tanh_f32(f32s v) {
    const f32s e = expm1_f32(clamp(v + v, -20.0f, 20.0f));
    return e / (e + 2.0f);
}

// v / 2 (1 + erf(v / sqrt 2)), erf(x) = x p(x^2) / q(x^2), minimax, 2.1e-8, all coefficients positive, so that nothing
// cancels. At 3.95 the quotient is 1. Absolute error below 4e-7 max(1, |v|).
INLINE f32s gelu_f32(f32s v) {
    const f32s x = clamp(v * 0.70710678f, -3.95f, 3.95f), z = x * x;
    f32s p = 2.02699644e-6f;
    p = fused(p, z, 2.84684684e-4f);
    p = fused(p, z, 3.80590479e-3f);
    p = fused(p, z, 5.28686631e-2f);
    p = fused(p, z, 1.91491417e-1f);
    p = fused(p, z, 1.12837914f);
    f32s q = 3.78428889e-5f;
    q = fused(q, z, 1.1702668e-3f);
    q = fused(q, z, 1.50505393e-2f);
    q = fused(q, z, 1.14536194e-1f);
    q = fused(q, z, 5.0303753e-1f);
    q = fused(q, z, 1.0f);
    return 0.5f * v * (1.0f + clamp(x * p / q, -1.0f, 1.0f));
}

// v / 2 (1 + tanh u) = v logistic(2 u), u = sqrt(2 / pi) (v + 0.044715 v^3) (Hendrycks and Gimpel, 2016).
INLINE f32s gelu_tanh_f32(f32s v) { return v * logistic_f32(1.5957691f * fused(0.044715f * v, v * v, v)); }

// 2^k m with 1/2 <= m^2 <= 2, f = m - 1: log(1 + f) = f - f^2 / 2 + f^3 p(f), p minimax, 5.8e-9. Errors are below
// one unit in the last place.
INLINE f32s log_f32(f32s v) {
    const s32s small = v < 0x1p-126f;
    const s32s bits = BITS(small ? v * 0x1p23f : v);
    const s32s exponent = (bits - 0x3f3504f3) >> 23; // of the number over the root of 1/2
    const f32s f = FLOATS(bits - (exponent << 23)) - 1.0f;
    const f32s n = TO_F32(exponent - (small & 23));
    f32s p = -7.63694048e-2f;
    p = fused(p, f, 1.27624854e-1f);
    p = fused(p, f, -1.31595507e-1f);
    p = fused(p, f, 1.42015398e-1f);
    p = fused(p, f, -1.66234106e-1f);
    p = fused(p, f, 2.00012431e-1f);
    p = fused(p, f, -2.50008196e-1f);
    p = fused(p, f, 3.33333313e-1f);
    const f32s z = f * f;
    const f32s y = fused(z, -0.5f, fused(n, -2.12194440e-4f, p * f * z));
    const f32s result = fused(n, 0.693359375f, f + y);
    const f32s special = v == 0.0f ? (f32s)-INFINITY : v < 0.0f ? (f32s)NAN : v;
    return ((v > 0.0f) & (v < INFINITY)) ? result : special;
}

INLINE f32s hard_swish_f32(f32s v) { return v * clamp(v + 3.0f, 0.0f, 6.0f) * 0.16666667f; }

// An instruction set may have a way of its own for the greater part of a run of bytes.
#ifdef BYTE_BLOCKS_HEADER
#include BYTE_BLOCKS_HEADER
#endif
#ifndef BYTE_BLOCKS
#define s8_blocks(...) ((size_t)0)
#define u8_blocks(...) ((size_t)0)
#define s8_scale_shift_blocks(...) ((size_t)0)
#define u8_scale_shift_blocks(...) ((size_t)0)
static bool arrange_blocks(size_t n, float *constants) { return (void)n, (void)constants, false; }
#endif
#define s16_blocks(...) ((size_t)0)
#define s16_scale_shift_blocks(...) ((size_t)0)
#define f32_scale_shift_blocks(...) ((size_t)0)

// --- Unary kernels.

typedef f32s f32_function(f32s v, struct eo_f32_params p);

// The last numbers go through `self` once more, as a whole vector: code size.
INLINE void f32_unary(f32_function *f, eo_unary_kernel *self, size_t n, const float *x, float *y,
                      const struct eo_f32_params *params) {
    const struct eo_f32_params p = params ? *params : (struct eo_f32_params){0, 0};
    for (; n >= LANES; n -= LANES, x += LANES, y += LANES) store_f32(y, f(load_f32(x, LANES), p), LANES);
    if (n == 0) return;
    float last[LANES] = {0};
    __builtin_memcpy(last, x, n * sizeof *x);
    self(LANES, last, last, params);
    __builtin_memcpy(y, last, n * sizeof *y);
}

#define UNARY(name, expression)                                                                                        \
    INLINE f32s name(f32s v, struct eo_f32_params p) { return (void)p, (expression); }                                 \
    static void K(name)(size_t n, const void *x, void *y, const void *params) {                                        \
        f32_unary(name, K(name), n, x, y, params);                                                                     \
    }
UNARY(f32_clamp, clamp(v, p.low, p.high))
UNARY(f32_leaky_relu, v > 0.0f ? v : v * p.low)
UNARY(f32_hard_swish, hard_swish_f32(v))
UNARY(f32_exp, exp_f32(v))
UNARY(f32_elu, elu_f32(v))
UNARY(f32_logistic, logistic_f32(v))
UNARY(f32_swish, v *logistic_f32(v *p.low))
UNARY(f32_tanh, tanh_f32(v))
UNARY(f32_gelu, gelu_f32(v))
UNARY(f32_gelu_tanh, gelu_tanh_f32(v))
UNARY(f32_log, log_f32(v))
UNARY(f32_sqrt, __builtin_elementwise_sqrt(v))
UNARY(f32_rsqrt, 1.0f / __builtin_elementwise_sqrt(v))
UNARY(f32_square, v *v)
UNARY(f32_abs, FLOATS(BITS(v) & 0x7fffffff))
UNARY(f32_neg, -v)
UNARY(f32_sign, v > 0.0f ? 1.0f : (v < 0.0f ? -1.0f : v))
UNARY(f32_floor, __builtin_elementwise_floor(v))
UNARY(f32_ceil, __builtin_elementwise_ceil(v))
UNARY(f32_round, __builtin_elementwise_rint(v))

// Sine or cosine, which is the sine one quadrant further: v = n pi / 2 + r, |r| <= pi / 4. In double the product of n
// and the first part of pi / 2, which has 33 bits, is exact. Minimax polynomials of r, 4e-9 and 1.2e-10. Errors are
// below 1.6 units in the last place. |v| <= 2^19.
typedef double doubles __attribute__((ext_vector_type(LANES)));

INLINE f32s sine_f32(f32s v, int32_t quadrants) {
    const f32s whole = round_even(v * 6.36619772e-1f);
    const doubles n = __builtin_convertvector(whole, doubles);
    const doubles rest = (__builtin_convertvector(v, doubles) - n * 0x1.921fb544p0) - n * 0x1.0b4611a626331p-34;
    const f32s r = __builtin_convertvector(rest, f32s), z = r * r;
    const f32s sine = r + r * z * ((-1.95182868e-4f * z + 8.33218917e-3f) * z - 1.66666552e-1f);
    const f32s cosine = (1.0f - 0.5f * z) + z * z * ((2.44325602e-5f * z - 1.38873106e-3f) * z + 4.16666456e-2f);
    const s32s quadrant = TO_S32(whole) + quadrants;
    const s32s of_r = BITS(r) & (int32_t)0x80000000; // the sine of -0 is -0
    return FLOATS(((quadrant & 1) != 0 ? BITS(cosine) : BITS(sine) | of_r) ^ (quadrant & 2) << 30);
}

// What is larger, or no number, is rare enough for the C library.
static __attribute__((noinline)) void K(sines)(size_t n, const float *x, float *y, int32_t quadrants) {
    for (size_t count; n > 0; n -= count, x += count, y += count) {
        count = n < LANES ? n : LANES;
        const f32s v = load_f32(x, count);
        const s32s far = ~(FLOATS(BITS(v) & 0x7fffffff) <= 0x1p19f);
        store_f32(y, sine_f32(far ? (f32s)0.0f : v, quadrants), count);
        if (!__builtin_reduce_or(far)) continue;
        for (size_t i = 0; i < count; i++)
            if (far[i]) y[i] = quadrants ? cosf(v[i]) : sinf(v[i]);
    }
}
static void K(f32_sin)(size_t n, const void *x, void *y, const void *params) { (void)params, K(sines)(n, x, y, 0); }
static void K(f32_cos)(size_t n, const void *x, void *y, const void *params) { (void)params, K(sines)(n, x, y, 1); }

static void K(x8_lut)(size_t n, const void *x_, void *y_, const void *table_) {
    const uint8_t *x = x_, *table = table_;
    uint8_t *y = y_;
#ifdef BYTE_TABLES
    const size_t done = look_up_blocks(n, x, y, table);
    n -= done, x += done, y += done;
#endif
    for (; n >= 4; n -= 4, x += 4, y += 4) {
        const uint8_t y0 = table[x[0]], y1 = table[x[1]], y2 = table[x[2]], y3 = table[x[3]];
        y[0] = y0, y[1] = y1, y[2] = y2, y[3] = y3;
    }
    for (; n > 0; n--) *y++ = table[*x++];
}

// --- Binary kernels. A step of 0 makes an operand a single element.

#define VECTOR_FORMS(name, apply, function)                                                                            \
    static void K(name##_vv)(size_t n, const void *a, const void *b, void *y, const void *params) {                    \
        apply(function, 1, 1, n, a, b, y, params);                                                                     \
    }                                                                                                                  \
    static __attribute__((noinline)) void K(name##_vs)(size_t n, const void *a, const void *b, void *y,                \
                                                       const void *params) {                                           \
        apply(function, 1, 0, n, a, b, y, params);                                                                     \
    }

#define BINARY_FORMS(name, apply, function)                                                                            \
    VECTOR_FORMS(name, apply, function)                                                                                \
    static void K(name##_sv)(size_t n, const void *a, const void *b, void *y, const void *params) {                    \
        apply(function, 0, 1, n, a, b, y, params);                                                                     \
    }

// Operands may change places: code size.
#define COMMUTATIVE_FORMS(name, apply, function)                                                                       \
    VECTOR_FORMS(name, apply, function)                                                                                \
    static void K(name##_sv)(size_t n, const void *a, const void *b, void *y, const void *params) {                    \
        K(name##_vs)(n, b, a, y, params);                                                                              \
    }

typedef f32s f32_binary_function(f32s a, f32s b);

INLINE void f32_binary(f32_binary_function *f, size_t step_a, size_t step_b, size_t n, const float *a, const float *b,
                       float *y, const struct eo_f32_params *params) {
    const f32s low = params->low, high = params->high;
    const f32s single_a = n ? *a : 0.0f, single_b = n ? *b : 0.0f;
    for (; n >= LANES; n -= LANES, y += LANES, a += step_a * LANES, b += step_b * LANES) {
        const f32s u = step_a ? load_f32(a, LANES) : single_a, v = step_b ? load_f32(b, LANES) : single_b;
        store_f32(y, clamp(f(u, v), low, high), LANES);
    }
    if (n == 0) return;
    const f32s u = step_a ? load_f32(a, n) : single_a, v = step_b ? load_f32(b, n) : single_b;
    store_f32(y, clamp(f(u, v), low, high), n);
}

#define F32_BINARY(name, FORMS, expression)                                                                            \
    INLINE f32s name(f32s a, f32s b) { return expression; }                                                            \
    FORMS(name, f32_binary, name)
F32_BINARY(f32_add, COMMUTATIVE_FORMS, a + b)
F32_BINARY(f32_sub, BINARY_FORMS, a - b)
F32_BINARY(f32_mul, COMMUTATIVE_FORMS, a *b)
F32_BINARY(f32_div, BINARY_FORMS, a / b)
F32_BINARY(f32_min, BINARY_FORMS, a < b ? a : b)
F32_BINARY(f32_max, BINARY_FORMS, a > b ? a : b)
F32_BINARY(f32_squared_difference, COMMUTATIVE_FORMS, (a - b) * (a - b))
F32_BINARY(f32_prelu, BINARY_FORMS, a >= 0.0f ? a : a * b)

// Quantized: the differences from the zero points are exact; one rounding for each float operation, then ties to even.
typedef f32s quantized_function(s32s a, s32s b, struct eo_quantized_binary_params p);

INLINE f32s quantized_add(s32s a, s32s b, struct eo_quantized_binary_params p) {
    return TO_F32(a) * p.scale_a + TO_F32(b) * p.scale_b;
}
INLINE f32s quantized_mul(s32s a, s32s b, struct eo_quantized_binary_params p) { return TO_F32(a * b) * p.scale_a; }

// Products have one scale.
INLINE struct eo_quantized_binary_params exchanged(bool adds, struct eo_quantized_binary_params p) {
    const struct eo_quantized_binary_params old = p;
    p.zero_a = old.zero_b, p.zero_b = old.zero_a;
    if (adds) p.scale_a = old.scale_b, p.scale_b = old.scale_a;
    return p;
}

#define QUANTIZED_BINARY(t, type, vector)                                                                              \
    INLINE void t##_step(quantized_function *f, size_t step_a, size_t step_b, size_t n, const type *a, const type *b,  \
                         type *y, struct eo_quantized_binary_params p) {                                               \
        const s32s u = step_a ? TO_S32(load_##t(a, n)) : (s32s)(*a);                                                   \
        const s32s v = step_b ? TO_S32(load_##t(b, n)) : (s32s)(*b);                                                   \
        const f32s r = round_even(clamp(f(u - p.zero_a, v - p.zero_b, p), p.low, p.high));                             \
        store_##t(y, __builtin_convertvector(TO_S32(r) + p.zero_y, vector), n);                                        \
    }                                                                                                                  \
    INLINE void t##_binary(quantized_function *f, size_t step_a, size_t step_b, size_t n, const type *a,               \
                           const type *b, type *y, const struct eo_quantized_binary_params *p) {                       \
        if (n == 0) return;                                                                                            \
        const size_t done = t##_blocks(f == quantized_add, step_a, step_b, n, a, b, y, *p);                            \
        n -= done, y += done, a += step_a * done, b += step_b * done;                                                  \
        for (; n >= LANES; n -= LANES, y += LANES, a += step_a * LANES, b += step_b * LANES)                           \
            t##_step(f, step_a, step_b, LANES, a, b, y, *p);                                                           \
        if (n > 0) t##_step(f, step_a, step_b, n, a, b, y, *p);                                                        \
    }                                                                                                                  \
    VECTOR_FORMS(t##_add, t##_binary, quantized_add)                                                                   \
    VECTOR_FORMS(t##_mul, t##_binary, quantized_mul)                                                                   \
    static void K(t##_add_sv)(size_t n, const void *a, const void *b, void *y, const void *params) {                   \
        const struct eo_quantized_binary_params p =                                                                    \
            exchanged(true, *(const struct eo_quantized_binary_params *)params);                                       \
        K(t##_add_vs)(n, b, a, y, &p);                                                                                 \
    }                                                                                                                  \
    static void K(t##_mul_sv)(size_t n, const void *a, const void *b, void *y, const void *params) {                   \
        const struct eo_quantized_binary_params p =                                                                    \
            exchanged(false, *(const struct eo_quantized_binary_params *)params);                                      \
        K(t##_mul_vs)(n, b, a, y, &p);                                                                                 \
    }
QUANTIZED_BINARY(s8, int8_t, s8s)
QUANTIZED_BINARY(u8, uint8_t, u8s)
QUANTIZED_BINARY(s16, int16_t, s16s)

#include "scale_shift.h"

// Minimum and maximum of integers: the compiler vectorizes these loops, in place too.
#if LANES > 4
#define PLAIN_LOOP "clang loop vectorize(assume_safety) unroll(disable) interleave_count(2)"
#else
#define PLAIN_LOOP "clang loop unroll(disable)"
#endif
#define PLAIN_BINARY(name, type, expression)                                                                           \
    INLINE void name##_loop(int unused, size_t step_a, size_t step_b, size_t n, const type *pa, const type *pb,        \
                            type *y, const void *params) {                                                             \
        (void)unused, (void)params;                                                                                    \
        _Pragma(PLAIN_LOOP) for (size_t i = 0; i < n; i++) {                                                           \
            const type a = pa[i * step_a], b = pb[i * step_b];                                                         \
            y[i] = expression;                                                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    COMMUTATIVE_FORMS(name, name##_loop, 0)
PLAIN_BINARY(s8_min, int8_t, a < b ? a : b)
PLAIN_BINARY(u8_min, uint8_t, a < b ? a : b)
PLAIN_BINARY(s16_min, int16_t, a < b ? a : b)
PLAIN_BINARY(s32_min, int32_t, a < b ? a : b)
PLAIN_BINARY(s8_max, int8_t, a > b ? a : b)
PLAIN_BINARY(u8_max, uint8_t, a > b ? a : b)
PLAIN_BINARY(s16_max, int16_t, a > b ? a : b)
PLAIN_BINARY(s32_max, int32_t, a > b ? a : b)

// --- Conversions.

#define QUANTIZE(t, type, vector)                                                                                      \
    INLINE void t##_quantize_step(size_t n, f32s v, type *y, struct eo_quantize_params p) {                            \
        v = v * p.scale;                                                                                               \
        v = v > p.low ? v : p.low; /* NaN too */                                                                       \
        v = v < p.high ? v : p.high;                                                                                   \
        store_##t(y, __builtin_convertvector(TO_S32(round_even(v)) + p.zero, vector), n);                              \
    }                                                                                                                  \
    static void K(f32_to_##t)(size_t n, const void *x_, void *y_, const void *params) {                                \
        const float *x = x_;                                                                                           \
        type *y = y_;                                                                                                  \
        const struct eo_quantize_params p = *(const struct eo_quantize_params *)params;                                \
        for (; n >= LANES; n -= LANES, x += LANES, y += LANES) t##_quantize_step(LANES, load_f32(x, LANES), y, p);     \
        if (n > 0) t##_quantize_step(n, load_f32(x, n), y, p);                                                         \
    }                                                                                                                  \
    static void K(t##_to_f32)(size_t n, const void *x_, void *y_, const void *params) {                                \
        const type *x = x_;                                                                                            \
        float *y = y_;                                                                                                 \
        const struct eo_quantize_params p = *(const struct eo_quantize_params *)params;                                \
        for (; n >= LANES; n -= LANES, x += LANES, y += LANES)                                                         \
            store_f32(y, TO_F32(TO_S32(load_##t(x, LANES)) - p.zero) * p.scale, LANES);                                \
        if (n > 0) store_f32(y, TO_F32(TO_S32(load_##t(x, n)) - p.zero) * p.scale, n);                                 \
    }
QUANTIZE(s8, int8_t, s8s)
QUANTIZE(u8, uint8_t, u8s)
QUANTIZE(s16, int16_t, s16s)

#define REQUANTIZE(from, from_type, t, type)                                                                           \
    static void K(from##_to_##t)(size_t n, const void *x_, void *y_, const void *params) {                             \
        const from_type *x = x_;                                                                                       \
        type *y = y_;                                                                                                  \
        const struct eo_quantize_params p = *(const struct eo_quantize_params *)params;                                \
        for (; n >= LANES; n -= LANES, x += LANES, y += LANES)                                                         \
            t##_quantize_step(LANES, TO_F32(TO_S32(load_##from(x, LANES)) - p.offset), y, p);                          \
        if (n > 0) t##_quantize_step(n, TO_F32(TO_S32(load_##from(x, n)) - p.offset), y, p);                           \
    }
REQUANTIZE(s32, int32_t, s8, int8_t)
REQUANTIZE(s32, int32_t, u8, uint8_t)
REQUANTIZE(s32, int32_t, s16, int16_t)
REQUANTIZE(s16, int16_t, s8, int8_t)
REQUANTIZE(s16, int16_t, u8, uint8_t)
REQUANTIZE(s16, int16_t, s16, int16_t)

// --- Fake quantization.

INLINE f32s fake_quantize(f32s x, struct eo_fake_quantize_params p) {
    return round_even(clamp(x * p.inverse, p.low, p.high)) * p.scale;
}

static void K(f32_fake_quantize)(size_t n, const void *x_, void *y_, const void *params) {
    const float *x = x_;
    float *y = y_;
    const struct eo_fake_quantize_params p = *(const struct eo_fake_quantize_params *)params;
    for (; n >= LANES; n -= LANES, x += LANES, y += LANES) store_f32(y, fake_quantize(load_f32(x, LANES), p), LANES);
    if (n > 0) store_f32(y, fake_quantize(load_f32(x, n), p), n);
}

INLINE f32s fake_requantize(f32s x, size_t i, size_t n, struct eo_fake_requantize_params p) {
    const f32s sum = __builtin_elementwise_rint(x * load_f32(p.inverse + i, n));
    const f32s v = clamp(sum * load_f32(p.factor + i, n), p.low, p.high);
    if (!p.away) return round_even(v) * p.scale;
    const f32s stored = v + p.zero;
    return (__builtin_elementwise_trunc(stored + (stored < 0.0f ? (f32s)-0.5f : (f32s)0.5f)) - p.zero) * p.scale;
}

static void K(f32_fake_requantize)(size_t n, const void *x_, void *y_, const void *params) {
    const float *x = x_;
    float *y = y_;
    const struct eo_fake_requantize_params p = *(const struct eo_fake_requantize_params *)params;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store_f32(y + i, fake_requantize(load_f32(x + i, LANES), i, LANES, p), LANES);
    if (i < n) store_f32(y + i, fake_requantize(load_f32(x + i, n - i), i, n - i, p), n - i);
}

INLINE f32s fake_quantize_gradient(f32s x, f32s dy, struct eo_fake_quantize_params p) {
    const f32s v = x * p.inverse;
    return ((v < p.low) | (v > p.high)) ? (f32s)0.0f : dy;
}

static void K(f32_fake_quantize_gradient)(size_t n, const void *x_, const void *dy_, void *dx_, const void *params) {
    const float *x = x_, *dy = dy_;
    float *dx = dx_;
    const struct eo_fake_quantize_params p = *(const struct eo_fake_quantize_params *)params;
    for (; n >= LANES; n -= LANES, x += LANES, dy += LANES, dx += LANES)
        store_f32(dx, fake_quantize_gradient(load_f32(x, LANES), load_f32(dy, LANES), p), LANES);
    if (n > 0) store_f32(dx, fake_quantize_gradient(load_f32(x, n), load_f32(dy, n), p), n);
}

// Half to single: the exponent moved from bias 15 to 127 by a multiplication, which also makes subnormals normal;
// infinity and NaN keep their exponent of ones.
INLINE f32s f16_bits_to_f32(s32s h) {
    const s32s magnitude = h & 0x7fff;
    const f32s scaled = FLOATS(magnitude << 13) * 0x1p112f;
    const s32s special = (magnitude << 13) | 0x7f800000;
    const s32s bits = magnitude >= 0x7c00 ? special : BITS(scaled);
    return FLOATS(bits | (h & 0x8000) << 16);
}

// Single to half, ties to even. A normal result comes from adding half a unit in the last place (and its parity) to
// the bits; a subnormal one from adding the number whose last place is 2^-24; NaN becomes the quiet NaN 0x7e00.
INLINE s32s f32_to_f16_bits(f32s v) {
    const s32s bits = BITS(v), magnitude = bits & 0x7fffffff;
    const s32s normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112 << 23)) >> 13;
    const s32s subnormal = BITS(FLOATS(magnitude) + 0.5f) - 0x3f000000;
    s32s h = magnitude < 0x38800000 ? subnormal : normal;
    h = magnitude >= 0x477ff000 ? (s32s)0x7c00 : h;
    h = magnitude > 0x7f800000 ? (s32s)0x7e00 : h;
    return h | (bits >> 16 & 0x8000);
}

static void K(f16_to_f32)(size_t n, const void *x_, void *y_, const void *params) {
    const uint16_t *x = x_;
    float *y = y_;
    (void)params;
    for (; n >= LANES; n -= LANES, x += LANES, y += LANES)
        store_f32(y, f16_bits_to_f32(TO_S32(load_u16(x, LANES))), LANES);
    if (n > 0) store_f32(y, f16_bits_to_f32(TO_S32(load_u16(x, n))), n);
}

static void K(f32_to_f16)(size_t n, const void *x_, void *y_, const void *params) {
    const float *x = x_;
    uint16_t *y = y_;
    (void)params;
    for (; n >= LANES; n -= LANES, x += LANES, y += LANES)
        store_u16(y, __builtin_convertvector(f32_to_f16_bits(load_f32(x, LANES)), u16s), LANES);
    if (n > 0) store_u16(y, __builtin_convertvector(f32_to_f16_bits(load_f32(x, n)), u16s), n);
}

#include "pooling.h"
#include "reductions.h"
#include "resize.h"
#include "search.h"
#include "fourier.h"

const struct eo_elementwise TABLE = {
    .isa = ISA,
#define ROW(name) .name = {K(name##_vv), K(name##_vs), K(name##_sv)},
    EO_F32_BINARY(ROW) EO_QUANTIZED_BINARY(ROW) EO_PLAIN_BINARY(ROW)
#undef ROW
        .arrange = arrange_blocks,
#define ROW(name) .name = K(name),
    EO_F32_UNARY(ROW) EO_CONVERSIONS(ROW) ROW(f32_scale_shift) ROW(s8_scale_shift) ROW(u8_scale_shift)
        ROW(s16_scale_shift) ROW(f32_layer_norm) ROW(x8_lut) ROW(f32_add_rows) ROW(f32_sum) ROW(f32_sum_of_squares)
            ROW(f32_maximum) ROW(f32_minimum) ROW(f32_exp_sum) ROW(f32_fake_quantize) ROW(f32_fake_requantize)
                ROW(f32_fake_quantize_gradient) ROW(f32_fake_quantize_scale_gradient) ROW(f32_passing) ROW(f32_pass)
                    ROW(f32_max_pool_place) ROW(f32_max_unpool) ROW(s8_sum) ROW(u8_sum) ROW(s16_sum) ROW(s8_add_rows)
                        ROW(u8_add_rows) ROW(s16_add_rows) EO_POOLS(ROW) EO_RESIZES(ROW) ROW(f32_greatest_place)
                            ROW(x8_greatest_place) ROW(f64_fourier) ROW(f64_real_spectrum) ROW(s16_dots)
#undef ROW
};
