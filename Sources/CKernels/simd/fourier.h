// Fourier transforms of eight lines at a time, a part of elementwise.h: every point of a transform is eight complex
// numbers, first their real parts, one of each line.

// Lines that a vector holds: the transform is done for so many at a time.
#ifdef LANES_MASK
#define VECTOR_LINES 8
#elif LANES > 8
#define VECTOR_LINES 4
#else
#define VECTOR_LINES 2
#endif
enum { FOURIER_LINES = 8, POINT = 2 * FOURIER_LINES };
typedef double f64s __attribute__((ext_vector_type(VECTOR_LINES)));

struct complex_lines {
    f64s re, im;
};

INLINE struct complex_lines load_point(const double *x) {
    struct complex_lines point;
    __builtin_memcpy(&point.re, x, sizeof point.re);
    __builtin_memcpy(&point.im, x + FOURIER_LINES, sizeof point.im);
    return point;
}
INLINE void store_point(double *x, struct complex_lines point) {
    __builtin_memcpy(x, &point.re, sizeof point.re);
    __builtin_memcpy(x + FOURIER_LINES, &point.im, sizeof point.im);
}

INLINE struct complex_lines plus(struct complex_lines a, struct complex_lines b) {
    return (struct complex_lines){a.re + b.re, a.im + b.im};
}
INLINE struct complex_lines minus(struct complex_lines a, struct complex_lines b) {
    return (struct complex_lines){a.re - b.re, a.im - b.im};
}
INLINE struct complex_lines times(struct complex_lines a, const double *w) {
    return (struct complex_lines){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}
INLINE struct complex_lines times_i(struct complex_lines a) { return (struct complex_lines){-a.im, a.re}; }

// Two steps of Cooley and Tukey's (1965) at once, which reads and writes the points half as often. The first step is a
// single one if their number is odd.
INLINE void fourier(size_t n, const double *twiddles, double *x) {
    size_t width = 1;
    if (__builtin_ctzll(n) % 2 == 1) {
        for (double *p = x; p < x + n * POINT; p += 2 * POINT) {
            const struct complex_lines a = load_point(p), b = load_point(p + POINT);
            store_point(p, plus(a, b)), store_point(p + POINT, minus(a, b));
        }
        width = 2;
    }
    for (; width < n; width *= 4)
        for (size_t k = 0; k < width; k++, twiddles += 6)
            _Pragma("clang loop unroll(disable)") for (size_t i = k; i < n; i += 4 * width) {
                double *p = x + i * POINT, *q = p + width * POINT, *r = q + width * POINT, *s = r + width * POINT;
                const struct complex_lines a = load_point(p), b = times(load_point(q), twiddles);
                const struct complex_lines c = times(load_point(r), twiddles + 2);
                const struct complex_lines d = times(load_point(s), twiddles + 4);
                const struct complex_lines upper = plus(c, d), lower = times_i(minus(c, d));
                const struct complex_lines sum = plus(a, b), difference = minus(a, b);
                store_point(p, plus(sum, upper)), store_point(q, minus(difference, lower));
                store_point(r, minus(sum, upper)), store_point(s, plus(difference, lower));
            }
}

// With z the transform of x[0] + i x[1], x[2] + i x[3], ...: the sum of z[k] and the conjugate of z[half - k] is twice
// the transform of the even elements, their difference 2i times that of the odd ones.
INLINE void real_spectrum(size_t half, const double *twiddles, double *z) {
    _Pragma("clang loop unroll(disable)") for (size_t k = 0; k <= half / 2; k++, twiddles += 2) {
        const struct complex_lines a = load_point(z + k * POINT), b = load_point(z + (k ? half - k : 0) * POINT);
        const struct complex_lines even = {(a.re + b.re) * 0.5, (a.im - b.im) * 0.5};
        const struct complex_lines difference = {(a.im + b.im) * 0.5, (b.re - a.re) * 0.5};
        const struct complex_lines odd = times(difference, twiddles);
        const struct complex_lines mirrored = minus(even, odd);
        store_point(z + k * POINT, plus(even, odd));
        store_point(z + (half - k) * POINT, (struct complex_lines){mirrored.re, -mirrored.im});
    }
}

static void K(f64_fourier)(size_t n, const double *twiddles, double *x) {
    for (size_t line = 0; line < FOURIER_LINES; line += VECTOR_LINES) fourier(n, twiddles, x + line);
}
static void K(f64_real_spectrum)(size_t half, const double *twiddles, double *z) {
    for (size_t line = 0; line < FOURIER_LINES; line += VECTOR_LINES) real_spectrum(half, twiddles, z + line);
}
