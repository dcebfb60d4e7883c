// Bilinear interpolation of a line of pixels, compiled once for each instruction set as a part of elementwise.h. Pixels
// between the same two columns of the input follow one another where an image grows: what they have in common is read,
// converted and weighted by the lines once, for a block of channels at a time.

// Parts of vectors cost nothing where there are masks; elsewhere the last block ends with the channels, and the scalar
// kernels do fewer than a block.
#if LANES > 4
enum { RESIZE_LANES = 16, WHOLE_LANES = 8 };
#else
enum { RESIZE_LANES = 1, WHOLE_LANES = 1 };
#endif
#ifdef LANES_MASK
#define LOAD_PART(t, p, n) load_##t(p, n)
#define STORE_PART(t, p, v, n) store_##t(p, v, n)
#define NEXT_BLOCK(lanes)
#else
#define LOAD_PART(t, p, n) load_resize_##t(p, ((void)(n), RESIZE_LANES))
#define STORE_PART(t, p, v, n) store_resize_##t(p, v, ((void)(n), RESIZE_LANES))
#define NEXT_BLOCK(lanes)                                                                                              \
    if (c + lanes > n) c = n - lanes;
#endif
#if LANES > 4 && !defined(LANES_MASK)
#define LEAVE_FEW(name, lanes)                                                                                         \
    if (line_->channels < lanes) {                                                                                     \
        eo_elementwise_scalar.name(line_, first, second, y);                                                           \
        return;                                                                                                        \
    }
#else
#define LEAVE_FEW(name, lanes)
#endif

typedef float resize_f32s __attribute__((ext_vector_type(RESIZE_LANES)));
typedef int32_t resize_s32s __attribute__((ext_vector_type(RESIZE_LANES)));
typedef uint8_t resize_u8s __attribute__((ext_vector_type(RESIZE_LANES)));
LOAD_STORE(resize_f32, float, resize_f32s)
LOAD_STORE(resize_u8, uint8_t, resize_u8s)

// The corners of a pixel are a (above, left), b (below, left), c (above, right), d (below, right).
#define CORNERS(load, reals)                                                                                           \
    const size_t left = line->taps[begin].low * line->channels, right = line->taps[begin].high * line->channels;       \
    reals a = __builtin_convertvector(load(first, left), reals);                                                       \
    reals b = __builtin_convertvector(load(second, left), reals);                                                      \
    reals c = __builtin_convertvector(load(first, right), reals);                                                      \
    reals d = __builtin_convertvector(load(second, right), reals);

// n channels of the pixels begin..<end, which lie between the same two columns.
INLINE void f32_resize_pixels(const struct eo_resize *line, size_t begin, size_t end, size_t n, const float *first,
                              const float *second, float *y) {
#define LOAD(from, at) LOAD_PART(f32, from + at, n)
    CORNERS(LOAD, resize_f32s)
#undef LOAD
    _Pragma("clang loop unroll(disable)") for (size_t i = begin; i < end; i++) {
        const struct eo_resize_tap tap = line->taps[i];
        const resize_f32s sum = a * (line->above * tap.left) + b * (line->below * tap.left) +
                                c * (line->above * tap.right) + d * (line->below * tap.right);
        STORE_PART(f32, y + i * line->channels, sum, n);
    }
}

// The order of the products decides the last bit, and so to which side a half is rounded.
INLINE void u8_resize_pixels(const struct eo_resize *line, size_t begin, size_t end, size_t n, const uint8_t *first,
                             const uint8_t *second, uint8_t *y) {
#define LOAD(from, at) LOAD_PART(u8, from + at, n)
    CORNERS(LOAD, resize_f32s)
#undef LOAD
    a *= line->above, b *= line->below, c *= line->above, d *= line->below;
    _Pragma("clang loop unroll(disable)") for (size_t i = begin; i < end; i++) {
        const struct eo_resize_tap tap = line->taps[i];
        const resize_f32s sum = a * tap.left + b * tap.left + c * tap.right + d * tap.right;
        const resize_s32s rounded = __builtin_convertvector(sum + 0.5f, resize_s32s);
        STORE_PART(u8, y + i * line->channels, __builtin_convertvector(rounded, resize_u8s), n);
    }
}

// Integers with sign, of 8 bits or `wide`, by one code: size.
typedef double resize_f64s __attribute__((ext_vector_type(WHOLE_LANES)));
typedef int32_t whole_s32s __attribute__((ext_vector_type(WHOLE_LANES)));
typedef int16_t whole_s16s __attribute__((ext_vector_type(WHOLE_LANES)));
typedef int8_t whole_s8s __attribute__((ext_vector_type(WHOLE_LANES)));

INLINE whole_s32s load_whole(const char *p, bool wide, size_t n) {
#ifdef LANES_MASK
    return (wide ? TO_S32(load_s16((const int16_t *)p, n)) : TO_S32(load_s8((const int8_t *)p, n))).lo;
#else
    (void)n;
    whole_s16s words;
    whole_s8s bytes;
    if (!wide) {
        __builtin_memcpy(&bytes, p, sizeof bytes);
        return __builtin_convertvector(bytes, whole_s32s);
    }
    __builtin_memcpy(&words, p, sizeof words);
    return __builtin_convertvector(words, whole_s32s);
#endif
}

INLINE void store_whole(char *p, whole_s32s v, bool wide, size_t n) {
#ifdef LANES_MASK
    const s32s all = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
    if (wide)
        store_s16((int16_t *)p, __builtin_convertvector(all, s16s), n);
    else
        store_s8((int8_t *)p, __builtin_convertvector(all, s8s), n);
#else
    (void)n;
    const whole_s16s words = __builtin_convertvector(v, whole_s16s);
    const whole_s8s bytes = __builtin_convertvector(v, whole_s8s);
    if (wide)
        __builtin_memcpy(p, &words, sizeof words);
    else
        __builtin_memcpy(p, &bytes, sizeof bytes);
#endif
}

// Exact in double precision, then to the nearest, ties away from zero: the weights have 10 bits each.
INLINE void whole_resize_pixels(const struct eo_resize *line, size_t begin, size_t end, size_t n, bool wide,
                                const char *first, const char *second, char *y) {
    const size_t size = wide ? 2 : 1;
#define LOAD(from, at) load_whole(from + at * size, wide, n)
    CORNERS(LOAD, resize_f64s)
#undef LOAD
    const double above = line->above, below = line->below;
    a = a * above + b * below, c = c * above + d * below;
    _Pragma("clang loop unroll(disable)") for (size_t i = begin; i < end; i++) {
        const resize_f64s sum = a * (double)line->taps[i].left + c * (double)line->taps[i].right;
        const resize_f64s shifted = (sum + (sum > 0.0 ? (resize_f64s)0x1p19 : (resize_f64s)-0x1p19)) * 0x1p-20;
        store_whole(y + i * line->channels * size, __builtin_convertvector(shifted, whole_s32s), wide, n);
    }
}

// All channels of all pixels, those between the same two columns at a time; `at` a channel, `part` so many from there.
#define EACH_PART(lanes, call)                                                                                         \
    for (size_t begin = 0, end; begin < line->count; begin = end) {                                                    \
        const struct eo_resize_tap *tap = line->taps + begin;                                                          \
        end = begin + 1;                                                                                               \
        while (end < line->count && line->taps[end].low == tap->low && line->taps[end].high == tap->high) end++;       \
        for (size_t c = 0; c < n; c += lanes) {                                                                        \
            NEXT_BLOCK(lanes)                                                                                          \
            const size_t part = n - c < lanes ? n - c : lanes;                                                         \
            call;                                                                                                      \
        }                                                                                                              \
    }

#define RESIZE(t, type)                                                                                                \
    static void K(t##_resize)(const struct eo_resize *line_, const void *first, const void *second, void *y) {         \
        const struct eo_resize copy = *line_, *line = &copy; /* that no store could change */                          \
        const size_t n = line->channels;                                                                               \
        LEAVE_FEW(t##_resize, RESIZE_LANES)                                                                            \
        EACH_PART(RESIZE_LANES, t##_resize_pixels(line, begin, end, part, (const type *)first + c,                     \
                                                  (const type *)second + c, (type *)y + c))                            \
    }
RESIZE(f32, float)
RESIZE(u8, uint8_t)

static __attribute__((noinline)) void K(whole_resize)(const struct eo_resize *line_, const void *first,
                                                      const void *second, void *y, bool wide) {
    const struct eo_resize copy = *line_, *line = &copy;
    const size_t n = line->channels, size = wide ? 2 : 1;
    EACH_PART(WHOLE_LANES, whole_resize_pixels(line, begin, end, part, wide, (const char *)first + c * size,
                                               (const char *)second + c * size, (char *)y + c * size))
}
static void K(s8_resize)(const struct eo_resize *line_, const void *first, const void *second, void *y) {
    LEAVE_FEW(s8_resize, WHOLE_LANES)
    K(whole_resize)(line_, first, second, y, false);
}
static void K(s16_resize)(const struct eo_resize *line_, const void *first, const void *second, void *y) {
    LEAVE_FEW(s16_resize, WHOLE_LANES)
    K(whole_resize)(line_, first, second, y, true);
}
