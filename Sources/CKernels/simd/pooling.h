// Pooling of a run of windows, compiled once for each instruction set as a part of elementwise.h: blocks of channels
// whose extremes or sums stay in registers while a window's pixels pass by.

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
        for (size_t i = 0; i < w->rows; i++, x += w->row_stride) {                                                     \
            const type *pixel = x;                                                                                     \
            _Pragma("clang loop unroll(disable)") for (size_t j = 0; j < w->columns; j++, pixel += w->pixel_stride) {  \
                const t##_pixels##lanes v = load_##t##_pixels##lanes(pixel, lanes);                                    \
                best = v > best ? v : best;                                                                            \
            }                                                                                                          \
        }                                                                                                              \
        best = best < high ? best : high;                                                                              \
        store_##t##_pixels##lanes(y, best, lanes);                                                                     \
    }                                                                                                                  \
    INLINE t##_pixels##lanes##_sums t##_pool_sums_##lanes(const struct eo_pool_window *w, const type *x) {             \
        t##_pixels##lanes##_sums sums = 0;                                                                             \
        for (size_t i = 0; i < w->rows; i++)                                                                           \
            _Pragma("clang loop unroll(disable)") for (size_t j = 0; j < w->columns; j++) sums +=                      \
                __builtin_convertvector(load_##t##_pixels##lanes(x + i * w->row_stride + j * w->pixel_stride, lanes),  \
                                        t##_pixels##lanes##_sums);                                                     \
        return sums;                                                                                                   \
    }

// A block of channels of all windows of the run.
#define POOL_RUN(name, type, lanes)                                                                                    \
    INLINE void name##_run_##lanes(const struct eo_pool_window *w, const type *x, type *y, type low, type high) {      \
        for (size_t i = 0; i < w->count; i++, x += w->step, y += w->channels) name##_##lanes(w, x, y, low, high);      \
    }

// All channels: blocks of `wide`, or of 16 where there are fewer, the last block ending with the channels. Where there
// are fewer than 16, blocks reach into the windows behind, which overwrite what is too much, and the last windows'
// channels go one by one.
#define POOL_KERNEL(name, type, wide)                                                                                  \
    POOL_RUN(name, type, 16)                                                                                           \
    POOL_RUN(name, type, 1)                                                                                            \
    static void K(name)(const struct eo_pool_window *window, const void *x_, void *y_) {                               \
        const type *x = x_;                                                                                            \
        type *y = y_;                                                                                                  \
        const struct eo_pool_window copy = *window, *w = &copy; /* that no store could change */                       \
        const type low = (type)w->low, high = (type)w->high;                                                           \
        const size_t n = w->channels;                                                                                  \
        if (n >= wide && FITS_##name(w)) {                                                                             \
            for (size_t c = 0; c < n; c += wide) {                                                                     \
                if (c + wide > n) c = n - wide;                                                                        \
                name##_run_##wide(w, x + c, y + c, low, high);                                                         \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        const bool reaches = n < 16;                                                                                   \
        struct eo_pool_window most = copy, last = copy;                                                                \
        if (reaches) most.count = copy.count * n < 16 ? 0 : (copy.count * n - 16) / n + 1;                             \
        last.count = copy.count - most.count;                                                                          \
        for (size_t c = 0; c < n; c += 16) {                                                                           \
            if (!reaches && c + 16 > n) c = n - 16;                                                                    \
            name##_run_16(&most, x + c, y + c, low, high);                                                             \
        }                                                                                                              \
        x += most.count * copy.step, y += most.count * n;                                                              \
        for (size_t c = 0; c < n && last.count > 0; c++) name##_run_1(&last, x + c, y + c, low, high);                 \
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

// A division takes several times as long as the product with the reciprocal, which is the same where that is exact.
INLINE bool is_power_of_two(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits << 9 == 0;
}

#define FLOAT_MEAN(lanes)                                                                                              \
    INLINE void f32_average_pool_##lanes(const struct eo_pool_window *w, const float *x, float *y, float low,          \
                                         float high) {                                                                 \
        f32_pixels##lanes mean = f32_pool_sums_##lanes(w, x);                                                          \
        if (is_power_of_two(w->factor))                                                                                \
            mean *= 1 / w->factor;                                                                                     \
        else                                                                                                           \
            mean /= w->factor;                                                                                         \
        mean = low > mean ? low : mean;                                                                                \
        mean = high < mean ? high : mean;                                                                              \
        store_f32_pixels##lanes(y, mean, lanes);                                                                       \
    }

// Means of bytes in 16 bits, for windows of 2 to `SHORT_MEAN` pixels; the lower and the upper bytes of pairs are summed
// apart. Sums begin with `least` (128 for signed bytes) times the count and half the count, less 1 where a negative sum
// could be a tie. They are less than 256 times the count then, and its quotient is the upper half of the product with
// m = ceil(2^(16 + k) / count), shifted down by k: m exceeds 2^(16 + k) / count by less than 1, which makes no
// difference if the count is below 16, or 2^k the greatest power of two below it. Of windows of three columns that step
// by a pixel, sums gain a column and lose one.
enum { SHORT_MEAN = 127 };
#define BYTE_MEAN(t, type, lanes, least, half_type)                                                                    \
    typedef uint16_t t##_pairs __attribute__((ext_vector_type(lanes / 2)));                                            \
    typedef half_type t##_uppers __attribute__((ext_vector_type(lanes / 2)));                                          \
    typedef uint32_t t##_products __attribute__((ext_vector_type(lanes / 2)));                                         \
    struct t##_halves {                                                                                                \
        t##_pairs low, high;                                                                                           \
    };                                                                                                                 \
    INLINE struct t##_halves t##_column_sums(const struct eo_pool_window *w, size_t column, const type *x) {           \
        struct t##_halves sums = {0, 0};                                                                               \
        x += column * w->pixel_stride;                                                                                 \
        _Pragma("clang loop unroll(disable)") for (size_t i = 0; i < w->rows; i++, x += w->row_stride) {               \
            t##_pairs v;                                                                                               \
            __builtin_memcpy(&v, x, sizeof v);                                                                         \
            sums.low += (v ^ (uint16_t)least) & 0xff;                                                                  \
            sums.high += (t##_pairs)((t##_uppers)v >> 8);                                                              \
        }                                                                                                              \
        return sums;                                                                                                   \
    }                                                                                                                  \
    INLINE t##_pairs t##_mean(t##_pairs sums, uint16_t zero, uint16_t m, unsigned k, bool ties) {                      \
        if (ties) sums += (t##_pairs)(sums < zero);                                                                    \
        const t##_pairs factors = m;                                                                                   \
        const t##_products product =                                                                                   \
            __builtin_convertvector(sums, t##_products) * __builtin_convertvector(factors, t##_products) >> 16;        \
        const t##_pairs mean = __builtin_convertvector(product, t##_pairs);                                            \
        return k > 0 ? mean >> (uint16_t)k : mean;                                                                     \
    }                                                                                                                  \
    INLINE void t##_means(bool slides, const struct eo_pool_window *w, const type *x, type *y, type low, type high) {  \
        const uint32_t count = (uint32_t)(w->rows * w->columns);                                                       \
        const unsigned k = count < 16 ? 0 : 31 - (unsigned)__builtin_clz(count - 1);                                   \
        const uint16_t factor = (uint16_t)(((1u << (16 + k)) + count - 1) / count);                                    \
        const uint16_t half = (uint16_t)(count / 2), zero = (uint16_t)(half + least * count);                          \
        const bool ties = least > 0 && count % 2 == 0;                                                                 \
        struct t##_halves first = {0, 0}, second = first;                                                              \
        if (slides) first = t##_column_sums(w, 0, x), second = t##_column_sums(w, 1, x);                               \
        struct t##_halves sums = {half + first.low + second.low, zero + first.high + second.high};                     \
        for (size_t i = 0; i < w->count; i++, x += w->step, y += w->channels) {                                        \
            if (!slides) sums.low = half, sums.high = zero;                                                            \
            struct t##_halves column = {0, 0};                                                                         \
            for (size_t j = slides ? 2 : 0; j < w->columns; j++) {                                                     \
                column = t##_column_sums(w, j, x);                                                                     \
                sums.low += column.low, sums.high += column.high;                                                      \
            }                                                                                                          \
            uint16_t m = factor;                                                                                       \
            __asm__ volatile(""                                                                                        \
                             : "+r"(m)); /* widened outside of the loop, it would hide a multiplication of 16 bits */  \
            const t##_pairs both = t##_mean(sums.low, zero, m, k, ties) | t##_mean(sums.high, zero, m, k, ties) << 8;  \
            t##_pixels##lanes q = (t##_pixels##lanes)both ^ (type)least;                                               \
            q = q > low ? q : low;                                                                                     \
            q = q < high ? q : high;                                                                                   \
            store_##t##_pixels##lanes(y, q, lanes);                                                                    \
            if (!slides) continue;                                                                                     \
            sums.low -= first.low, sums.high -= first.high;                                                            \
            first = second, second = column;                                                                           \
        }                                                                                                              \
    }                                                                                                                  \
    INLINE void t##_average_pool_run_##lanes(const struct eo_pool_window *window, const type *x, type *y, type low,    \
                                             type high) {                                                              \
        struct eo_pool_window w = *window;                                                                             \
        if (w.columns == 3 && w.step == w.pixel_stride) {                                                              \
            w.columns = 3;                                                                                             \
            t##_means(true, &w, x, y, low, high);                                                                      \
        } else {                                                                                                       \
            t##_means(false, &w, x, y, low, high);                                                                     \
        }                                                                                                              \
    }

#define FITS_s8_max_pool(w) 1
#define FITS_u8_max_pool(w) 1
#define FITS_s16_max_pool(w) 1
#define FITS_f32_max_pool(w) 1
#define FITS_SHORT_MEAN(count) ((count) > 1 && (count) <= SHORT_MEAN)
#define FITS_s8_average_pool(w) FITS_SHORT_MEAN((w)->rows *(w)->columns)
#define FITS_u8_average_pool(w) FITS_SHORT_MEAN((w)->rows *(w)->columns)
#define FITS_s16_average_pool(w) 1
#define FITS_f32_average_pool(w) 1

#define INTEGER_POOL(t, type, wide)                                                                                    \
    POOL_BODIES(t, type, wide, int32_t)                                                                                \
    POOL_BODIES(t, type, 16, int32_t)                                                                                  \
    POOL_BODIES(t, type, 1, int32_t)                                                                                   \
    INTEGER_MEAN(t, type, 16)                                                                                          \
    INTEGER_MEAN(t, type, 1)                                                                                           \
    POOL_RUN(t##_max_pool, type, wide)                                                                                 \
    POOL_KERNEL(t##_max_pool, type, wide)
#define WIDE_MEAN(t, type, wide)                                                                                       \
    INTEGER_MEAN(t, type, wide)                                                                                        \
    POOL_RUN(t##_average_pool, type, wide)
#define AVERAGE_POOLS(t, type, wide, mean)                                                                             \
    INTEGER_POOL(t, type, wide)                                                                                        \
    mean POOL_KERNEL(t##_average_pool, type, wide)
#ifdef BYTE_BLOCKS
AVERAGE_POOLS(s8, int8_t, 64, BYTE_MEAN(s8, int8_t, 64, 128, int16_t))
AVERAGE_POOLS(u8, uint8_t, 64, BYTE_MEAN(u8, uint8_t, 64, 0, uint16_t))
#elif LANES > 4
AVERAGE_POOLS(s8, int8_t, 32, BYTE_MEAN(s8, int8_t, 32, 128, int16_t))
AVERAGE_POOLS(u8, uint8_t, 32, BYTE_MEAN(u8, uint8_t, 32, 0, uint16_t))
#else
AVERAGE_POOLS(s8, int8_t, 32, WIDE_MEAN(s8, int8_t, 32))
AVERAGE_POOLS(u8, uint8_t, 32, WIDE_MEAN(u8, uint8_t, 32))
#endif
AVERAGE_POOLS(s16, int16_t, 32, WIDE_MEAN(s16, int16_t, 32))

POOL_BODIES(f32, float, 32, float)
POOL_BODIES(f32, float, 16, float)
POOL_BODIES(f32, float, 1, float)
FLOAT_MEAN(32)
FLOAT_MEAN(16)
FLOAT_MEAN(1)
POOL_RUN(f32_max_pool, float, 32)
POOL_KERNEL(f32_max_pool, float, 32)
POOL_RUN(f32_average_pool, float, 32)
POOL_KERNEL(f32_average_pool, float, 32)

// Maxima that remember where they were, and the way back.
#define PLACE_BODIES(lanes)                                                                                            \
    typedef float place_floats##lanes __attribute__((ext_vector_type(lanes)));                                         \
    typedef int32_t place_words##lanes __attribute__((ext_vector_type(lanes)));                                        \
    typedef uint16_t place_numbers##lanes __attribute__((ext_vector_type(lanes)));                                     \
    INLINE void f32_max_pool_place_##lanes(const struct eo_pool_window *w, const float *x, float *y,                   \
                                           uint16_t *place) {                                                          \
        place_floats##lanes best = -INFINITY, v;                                                                       \
        place_words##lanes at = 0;                                                                                     \
        int32_t number = 0;                                                                                            \
        for (size_t i = 0; i < w->rows; i++)                                                                           \
            for (size_t j = 0; j < w->columns; j++, number++) {                                                        \
                __builtin_memcpy(&v, x + i * w->row_stride + j * w->pixel_stride, lanes * sizeof *x);                  \
                at = v > best ? (place_words##lanes)number : at;                                                       \
                best = v > best ? v : best;                                                                            \
            }                                                                                                          \
        best = w->low > best ? w->low : best;                                                                          \
        best = w->high < best ? w->high : best;                                                                        \
        const place_numbers##lanes numbers = __builtin_convertvector(at, place_numbers##lanes);                        \
        __builtin_memcpy(y, &best, lanes * sizeof *y);                                                                 \
        __builtin_memcpy(place, &numbers, lanes * sizeof *place);                                                      \
    }                                                                                                                  \
    INLINE void f32_max_unpool_##lanes(const struct eo_pool_window *w, const uint16_t *place, const float *dy,         \
                                       float *dx, bool adds) {                                                         \
        place_floats##lanes left, sum = 0;                                                                             \
        place_numbers##lanes numbers;                                                                                  \
        __builtin_memcpy(&left, dy, lanes * sizeof *dy);                                                               \
        __builtin_memcpy(&numbers, place, lanes * sizeof *place);                                                      \
        const place_words##lanes at = __builtin_convertvector(numbers, place_words##lanes);                            \
        int32_t number = 0;                                                                                            \
        for (size_t i = 0; i < w->rows; i++)                                                                           \
            for (size_t j = 0; j < w->columns; j++, number++) {                                                        \
                float *to = dx + i * w->row_stride + j * w->pixel_stride;                                              \
                if (adds) __builtin_memcpy(&sum, to, lanes * sizeof *to);                                              \
                const place_floats##lanes part = at == number ? left : 0.0f, total = sum + part;                       \
                __builtin_memcpy(to, &total, lanes * sizeof *to);                                                      \
            }                                                                                                          \
    }
PLACE_BODIES(16)
PLACE_BODIES(4)
PLACE_BODIES(1)

// Blocks of 16 channels, of 4, and single ones, of all windows. A block may reach over a window's last channel where
// the windows behind overwrite what is too much.
#define EACH_BLOCK(call, overwrites)                                                                                   \
    for (size_t i = 0; i < w->count; i++) {                                                                            \
        const size_t at = i * w->channels, end = (overwrites ? w->count - i : 1) * w->channels;                        \
        size_t c = 0;                                                                                                  \
        for (; c < w->channels && c + 16 <= end; c += 16) call(16);                                                    \
        for (; c + 4 <= w->channels; c += 4) call(4);                                                                  \
        for (; c < w->channels; c++) call(1);                                                                          \
    }
static void K(f32_max_pool_place)(const struct eo_pool_window *w, const float *x, float *y, uint16_t *place) {
#define CALL(lanes) f32_max_pool_place_##lanes(w, x + i * w->step + c, y + at + c, place + at + c)
    EACH_BLOCK(CALL, true)
#undef CALL
}
static void K(f32_max_unpool)(const struct eo_pool_window *w, const uint16_t *place, const float *dy, float *dx,
                              bool adds) {
#define CALL(lanes) f32_max_unpool_##lanes(w, place + at + c, dy + at + c, dx + i * w->step + c, adds)
    EACH_BLOCK(CALL, !adds)
#undef CALL
}
