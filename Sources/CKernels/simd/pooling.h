// Pooling of one window, compiled once for each instruction set as a part of elementwise.h: blocks of channels whose
// extremes or sums stay in registers while the window's pixels pass by.

// A window for `lanes` channels; `start` is what is left of none. Integer means are rounded to nearest, ties away from
// zero: (|sum| + half the count) / count, truncated. In float, half a unit more and the reciprocal do it exactly, for
// counts up to 2^14 the nearest miss is 2^-15, the error at most 2^-16.
#define POOL_BODIES(t, type, lanes, sum_type)                                                                          \
    typedef type t##_pixels##lanes __attribute__((ext_vector_type(lanes)));                                            \
    typedef sum_type t##_pixels##lanes##_sums __attribute__((ext_vector_type(lanes)));                                 \
    typedef float t##_pixels##lanes##_floats __attribute__((ext_vector_type(lanes)));                                  \
    LOAD_STORE(t##_pixels##lanes, type, t##_pixels##lanes)                                                             \
    INLINE void t##_max_pool_##lanes(const struct eo_pool_window *w, const type *x, type *y, type low, type high) {    \
        t##_pixels##lanes best = low;                                                                                  \
        for (size_t i = 0; i < w->rows; i++)                                                                           \
            for (size_t j = 0; j < w->columns; j++) {                                                                  \
                const t##_pixels##lanes v =                                                                            \
                    load_##t##_pixels##lanes(x + i * w->row_stride + j * w->pixel_stride, lanes);                      \
                best = v > best ? v : best;                                                                            \
            }                                                                                                          \
        best = best < high ? best : high;                                                                              \
        store_##t##_pixels##lanes(y, best, lanes);                                                                     \
    }                                                                                                                  \
    INLINE t##_pixels##lanes##_sums t##_pool_sums_##lanes(const struct eo_pool_window *w, const type *x) {             \
        t##_pixels##lanes##_sums sums = 0;                                                                             \
        for (size_t i = 0; i < w->rows; i++)                                                                           \
            for (size_t j = 0; j < w->columns; j++)                                                                    \
                sums += __builtin_convertvector(                                                                       \
                    load_##t##_pixels##lanes(x + i * w->row_stride + j * w->pixel_stride, lanes),                      \
                    t##_pixels##lanes##_sums);                                                                         \
        return sums;                                                                                                   \
    }

// All channels: blocks of `wide`, then of 16, the last block of each ending with the channels; fewer than 16 one by
// one.
#define POOL_KERNEL(name, type, wide)                                                                                  \
    static void K(name)(const struct eo_pool_window *w, const void *x_, void *y_) {                                    \
        const type *x = x_;                                                                                            \
        type *y = y_;                                                                                                  \
        const type low = (type)w->low, high = (type)w->high;                                                           \
        const size_t n = w->channels;                                                                                  \
        size_t c = 0;                                                                                                  \
        for (; c + wide <= n; c += wide) name##_##wide(w, x + c, y + c, low, high);                                    \
        for (; c < n && n >= 16; c += 16) {                                                                            \
            if (c + 16 > n) c = n - 16;                                                                                \
            name##_16(w, x + c, y + c, low, high);                                                                     \
        }                                                                                                              \
        for (; c < n; c++) name##_1(w, x + c, y + c, low, high);                                                       \
    }

#define INTEGER_MEAN(t, type, lanes)                                                                                   \
    INLINE void t##_average_pool_##lanes(const struct eo_pool_window *w, const type *x, type *y, type low,             \
                                         type high) {                                                                  \
        const t##_pixels##lanes##_sums sums = t##_pool_sums_##lanes(w, x), half = (int32_t)(w->rows * w->columns / 2); \
        const t##_pixels##lanes##_sums size = sums > 0 ? sums + half : half - sums;                                    \
        const t##_pixels##lanes##_floats f = __builtin_convertvector(size, t##_pixels##lanes##_floats) + 0.5f;         \
        const t##_pixels##lanes##_sums mean = __builtin_convertvector(f * w->factor, t##_pixels##lanes##_sums);        \
        t##_pixels##lanes q = __builtin_convertvector(sums > 0 ? mean : -mean, t##_pixels##lanes);                     \
        q = q > low ? q : low;                                                                                         \
        q = q < high ? q : high;                                                                                       \
        store_##t##_pixels##lanes(y, q, lanes);                                                                        \
    }

#define FLOAT_MEAN(lanes)                                                                                              \
    INLINE void f32_average_pool_##lanes(const struct eo_pool_window *w, const float *x, float *y, float low,          \
                                         float high) {                                                                 \
        f32_pixels##lanes mean = f32_pool_sums_##lanes(w, x) / w->factor;                                              \
        mean = low > mean ? low : mean;                                                                                \
        mean = high < mean ? high : mean;                                                                              \
        store_f32_pixels##lanes(y, mean, lanes);                                                                       \
    }

#define INTEGER_POOL(t, type, wide)                                                                                    \
    POOL_BODIES(t, type, wide, int32_t)                                                                                \
    POOL_BODIES(t, type, 16, int32_t)                                                                                  \
    POOL_BODIES(t, type, 1, int32_t)                                                                                   \
    INTEGER_MEAN(t, type, wide)                                                                                        \
    INTEGER_MEAN(t, type, 16)                                                                                          \
    INTEGER_MEAN(t, type, 1)                                                                                           \
    POOL_KERNEL(t##_max_pool, type, wide)                                                                              \
    POOL_KERNEL(t##_average_pool, type, wide)
INTEGER_POOL(s8, int8_t, 64)
INTEGER_POOL(u8, uint8_t, 64)
INTEGER_POOL(s16, int16_t, 32)

POOL_BODIES(f32, float, 32, float)
POOL_BODIES(f32, float, 16, float)
POOL_BODIES(f32, float, 1, float)
FLOAT_MEAN(32)
FLOAT_MEAN(16)
FLOAT_MEAN(1)
POOL_KERNEL(f32_max_pool, float, 32)
POOL_KERNEL(f32_average_pool, float, 32)
