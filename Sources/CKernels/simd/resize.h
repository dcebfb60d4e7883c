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
typedef int8_t resize_s8s __attribute__((ext_vector_type(RESIZE_LANES)));
typedef double resize_f64s __attribute__((ext_vector_type(WHOLE_LANES)));
typedef int32_t whole_s32s __attribute__((ext_vector_type(WHOLE_LANES)));
typedef int16_t whole_s16s __attribute__((ext_vector_type(WHOLE_LANES)));
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

// Weights have 10 bits each: sums of bytes have 28. To the nearest, ties away from zero.
INLINE void s8_resize_pixels(const struct eo_resize *line, size_t begin, size_t end, size_t n, const int8_t *first,
                             const int8_t *second, int8_t *y) {
#define LOAD(from, at) (resize_s8s) LOAD_PART(u8, (const uint8_t *)(from + at), n)
    CORNERS(LOAD, resize_s32s)
#undef LOAD
    const int32_t above = (int32_t)line->above, below = (int32_t)line->below;
    a = a * above + b * below, c = c * above + d * below;
    const resize_s32s whole = a * 1024, step = c - a;
    _Pragma("clang loop unroll(disable)") for (size_t i = begin; i < end; i++) {
        const resize_s32s sum = whole + step * (int32_t)line->taps[i].right;
        const resize_s32s rounded = (sum + (1 << 19) + (sum >> 31)) >> 20;
        STORE_PART(u8, (uint8_t *)(y + i * line->channels), __builtin_convertvector(rounded, resize_u8s), n);
    }
}

// Exact in double precision.
INLINE whole_s32s load_whole(const int16_t *p, size_t n) {
#ifdef LANES_MASK
    return TO_S32(load_s16(p, n)).lo;
#else
    (void)n;
    whole_s16s words;
    __builtin_memcpy(&words, p, sizeof words);
    return __builtin_convertvector(words, whole_s32s);
#endif
}

INLINE void store_whole(int16_t *p, whole_s32s v, size_t n) {
#ifdef LANES_MASK
    const s32s all = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
    store_s16(p, __builtin_convertvector(all, s16s), n);
#else
    (void)n;
    const whole_s16s words = __builtin_convertvector(v, whole_s16s);
    __builtin_memcpy(p, &words, sizeof words);
#endif
}

INLINE void s16_resize_pixels(const struct eo_resize *line, size_t begin, size_t end, size_t n, const int16_t *first,
                              const int16_t *second, int16_t *y) {
#define LOAD(from, at) load_whole(from + at, n)
    CORNERS(LOAD, resize_f64s)
#undef LOAD
    const double above = line->above, below = line->below;
    a = a * above + b * below, c = c * above + d * below;
    _Pragma("clang loop unroll(disable)") for (size_t i = begin; i < end; i++) {
        const resize_f64s sum = a * (double)line->taps[i].left + c * (double)line->taps[i].right;
        const resize_f64s shifted = (sum + (sum > 0.0 ? (resize_f64s)0x1p19 : (resize_f64s)-0x1p19)) * 0x1p-20;
        store_whole(y + i * line->channels, __builtin_convertvector(shifted, whole_s32s), n);
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

#define RESIZE(t, type, lanes)                                                                                         \
    static void K(t##_resize)(const struct eo_resize *line_, const void *first, const void *second, void *y) {         \
        const struct eo_resize copy = *line_, *line = &copy; /* that no store could change */                          \
        const size_t n = line->channels;                                                                               \
        LEAVE_FEW(t##_resize, lanes)                                                                                   \
        EACH_PART(lanes, t##_resize_pixels(line, begin, end, part, (const type *)first + c, (const type *)second + c,  \
                                           (type *)y + c))                                                             \
    }
RESIZE(f32, float, RESIZE_LANES)
RESIZE(u8, uint8_t, RESIZE_LANES)
RESIZE(s8, int8_t, RESIZE_LANES)
RESIZE(s16, int16_t, WHOLE_LANES)
