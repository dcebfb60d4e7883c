// Kernels over runs of elements: arithmetic, activations, conversions, reductions, softmax rows.
//
// Every kernel is written once (simd/elementwise.h) over 16-lane vectors and compiled for each instruction set. No
// fused multiply-add is used and sums have a fixed order, so all instruction sets give the same bits, in float too.
//
// Runs may have any length and alignment; nothing outside them is read or written. The output may be one of the inputs
// (the very same run), but must not overlap it otherwise.
#ifndef EDGEOPT_ELEMENTWISE_H
#define EDGEOPT_ELEMENTWISE_H

#include "isa.h"

#pragma GCC visibility push(hidden)

// y[i] = f(x[i]). `params` is what the row below says, or unused.
typedef void eo_unary_kernel(size_t n, const void *_Nonnull x, void *_Nonnull y, const void *_Nullable params);
// y[i] = f(a[i], b[i]).
typedef void eo_binary_kernel(size_t n, const void *_Nonnull a, const void *_Nonnull b, void *_Nonnull y,
                              const void *_Nonnull params);
// A binary kernel and its forms where one operand is a single element.
struct eo_binary {
    eo_binary_kernel *_Nonnull vv, *_Nonnull vs, *_Nonnull sv;
};

// Parameters of float kernels. Binary ones clamp to [low, high]; LeakyReLU takes its slope in `low`.
struct eo_f32_params {
    float low, high;
};

// y = clamp(round((a - zero_a) * scale_a + (b - zero_b) * scale_b) + zero_y): addition, and with a negative scale
// subtraction. Multiplication takes (a - zero_a) * (b - zero_b) * scale_a. `low` and `high` bound the rounded value
// before zero_y is added.
struct eo_quantized_binary_params {
    int32_t zero_a, zero_b, zero_y;
    float scale_a, scale_b, low, high;
};

// Quantize: y = clamp(round(x * scale)) + zero, bounds as above. Dequantize: y = (x - zero) * scale. Requantize (from
// s32 and s16): y = clamp(round((x - offset) * scale)) + zero.
struct eo_quantize_params {
    int32_t offset, zero;
    float scale, low, high;
};

// A multiplication and an addition with constants, one of each for each element of the run: m = clamp(x * factors),
// y = clamp(m * scale + shifts), where x counts from zero_x. Quantized: both are rounded, ties to even, the first
// before the second begins, and zero_y is added; floats take neither scales nor zeros.
struct eo_scale_shift_params {
    int32_t zero_x, zero_y;
    float scale, middle_low, middle_high, middle_scale, low, high;
    // Of bytes: the constants have been through the table's `arrange`, and |m * middle_scale + shifts| < 2^30.
    bool arranged;
};
typedef void eo_scale_shift_kernel(size_t n, const void *_Nonnull x, const float *_Nonnull factors,
                                   const float *_Nonnull shifts, void *_Nonnull y,
                                   const struct eo_scale_shift_params *_Nonnull params);

// Fake quantization: v = x * inverse, y = round(clamp(v, low, high)) * scale; NaN stays NaN. low and high are whole
// numbers, less than 2^22 in size, and inverse is 1 / scale.
struct eo_fake_quantize_params {
    float inverse, scale, low, high;
};

// The same for sums of products of quantized numbers: v = round(x * inverse[i]) * factor[i], the first a whole number
// of any size. With `away`, v + zero is rounded to nearest with ties away from zero.
struct eo_fake_requantize_params {
    const float *_Nonnull inverse, *_Nonnull factor;
    float scale, low, high, zero;
    int away;
};

// Rows of the table. Binary float kernels; params: struct eo_f32_params.
#define EO_F32_BINARY(ROW)                                                                                             \
    ROW(f32_add)                                                                                                       \
    ROW(f32_sub) ROW(f32_mul) ROW(f32_div) ROW(f32_min) ROW(f32_max) ROW(f32_squared_difference) ROW(f32_prelu)
// Binary quantized kernels; params: struct eo_quantized_binary_params.
#define EO_QUANTIZED_BINARY(ROW) ROW(s8_add) ROW(u8_add) ROW(s16_add) ROW(s8_mul) ROW(u8_mul) ROW(s16_mul)
// Binary kernels without parameters.
#define EO_PLAIN_BINARY(ROW)                                                                                           \
    ROW(s8_min) ROW(u8_min) ROW(s16_min) ROW(s32_min) ROW(s8_max) ROW(u8_max) ROW(s16_max) ROW(s32_max)
// Unary float kernels; params: struct eo_f32_params where they are used.
// clang-format off
#define EO_F32_UNARY(ROW) \
    ROW(f32_clamp) ROW(f32_leaky_relu) ROW(f32_hard_swish) ROW(f32_exp) ROW(f32_elu) ROW(f32_logistic) \
    ROW(f32_swish) ROW(f32_tanh) ROW(f32_gelu) ROW(f32_gelu_tanh) ROW(f32_sqrt) ROW(f32_rsqrt) ROW(f32_square) \
    ROW(f32_abs) ROW(f32_neg) ROW(f32_sign) ROW(f32_floor) ROW(f32_ceil) ROW(f32_round) ROW(f32_log) ROW(f32_sin) \
    ROW(f32_cos)
// Conversions; params: struct eo_quantize_params, or none for half precision.
#define EO_CONVERSIONS(ROW) \
    ROW(f32_to_s8) ROW(f32_to_u8) ROW(f32_to_s16) ROW(s8_to_f32) ROW(u8_to_f32) ROW(s16_to_f32) ROW(s32_to_s8) \
    ROW(s32_to_u8) ROW(s32_to_s16) ROW(s16_to_s8) ROW(s16_to_u8) ROW(s16_to_s16) ROW(f16_to_f32) ROW(f32_to_f16)
// clang-format on

// Pooling windows of `count` neighbouring output pixels, all cut at the borders to the same size: pixels under each,
// and how their channels become those of the output pixel. Means of integers take the reciprocal of the number of
// pixels (at most 2^14), means of floats the number.
struct eo_pool_window {
    size_t rows, columns, channels;
    size_t row_stride, pixel_stride, step; // elements; step: from window to window
    size_t count;
    float factor, low, high;
};
// `x`: the first window's first pixel. The output must not overlap it.
typedef int32_t eo_integer_sum(size_t n, const void *_Nonnull x);
typedef void eo_integer_add_rows(size_t n, size_t rows, size_t stride, const void *_Nonnull x, int32_t *_Nonnull sums);
typedef void eo_pool_kernel(const struct eo_pool_window *_Nonnull window, const void *_Nonnull x, void *_Nonnull y);
// clang-format off
#define EO_POOLS(ROW) \
    ROW(s8_max_pool) ROW(s8_average_pool) ROW(u8_max_pool) ROW(u8_average_pool) ROW(s16_max_pool) \
    ROW(s16_average_pool) ROW(f32_max_pool) ROW(f32_average_pool)
// clang-format on

// Bilinear interpolation of a line of pixels between two lines of the input, with weights of what is above and below.
// Integers with sign take weights in units of 2^-10.
struct eo_resize_tap {
    size_t low, high; // the pixels at the left and the right
    float left, right;
};
struct eo_resize {
    size_t count, channels;
    const struct eo_resize_tap *_Nonnull taps;
    float above, below;
};
typedef void eo_resize_kernel(const struct eo_resize *_Nonnull line, const void *_Nonnull first,
                              const void *_Nonnull second, void *_Nonnull y);
#define EO_RESIZES(ROW) ROW(f32_resize) ROW(u8_resize) ROW(s8_resize) ROW(s16_resize)

// Of each row of n > 0 numbers, `stride` apart, the place of the greatest, of several the first; a NaN loses to any
// number. Bits in `flip` are turned over before: all of them, or the sign, make the least number the greatest.
struct eo_greatest_place {
    size_t rows, n, stride;
    uint32_t flip;
    bool wide; // places have 64 bits, else 32
};
typedef void eo_greatest_place_kernel(const struct eo_greatest_place *_Nonnull search, const void *_Nonnull x,
                                      void *_Nonnull places);
// The same of any type and stride, by one function for every processor: `rows` blocks of n lines of `inner` numbers,
// `stride` numbers from block to block; `least` turns the order over, nothing else does.
enum eo_number { EO_S8, EO_U8, EO_S16, EO_S32, EO_S64, EO_F32, EO_F64 };
void eo_place(const struct eo_greatest_place *_Nonnull search, enum eo_number type, size_t inner, bool least,
              const void *_Nonnull x, void *_Nonnull places);

struct eo_elementwise {
    enum kernels_isa isa;
#define ROW(name) struct eo_binary name;
    EO_F32_BINARY(ROW)
    EO_QUANTIZED_BINARY(ROW)
    EO_PLAIN_BINARY(ROW)
#undef ROW
#define ROW(name) eo_unary_kernel *_Nonnull name;
    EO_F32_UNARY(ROW)
    EO_CONVERSIONS(ROW)
#undef ROW
    eo_scale_shift_kernel *_Nonnull f32_scale_shift, *_Nonnull s8_scale_shift, *_Nonnull u8_scale_shift,
                                                                                   *_Nonnull s16_scale_shift;
    // Puts the constants of a row of n bytes into the order in which this table's kernels would rather read them; each
    // 64 stay together. False: they stay as they are.
    bool (*_Nonnull arrange)(size_t n, float *_Nonnull constants);
    // y = (x - mean) / sqrt(variance + epsilon) * factors + shifts over one row of n elements, n > 0: the variance is
    // the mean of (x - mean)^2 (two passes), sums as f32_sum. factors or shifts may be NULL: 1 and 0.
    void (*_Nonnull f32_layer_norm)(size_t n, const float *_Nonnull x, const float *_Nullable factors,
                                    const float *_Nullable shifts, float *_Nonnull y, float epsilon);
#define ROW(name) eo_pool_kernel *_Nonnull name;
    EO_POOLS(ROW)
#undef ROW
#define ROW(name) eo_resize_kernel *_Nonnull name;
    EO_RESIZES(ROW)
#undef ROW
    // Floats; bytes compared without sign.
    eo_greatest_place_kernel *_Nonnull f32_greatest_place, *_Nonnull x8_greatest_place;
    // The Fourier transforms of eight lines of n complex numbers in place, n a power of two; a point of a transform is
    // eight real parts and eight imaginary parts. Points come in bit-reversed order and leave in order. `twiddles`: for
    // the widths 1, 4, 16... (or 2, 8, 32...) below n and every k below the width, w^2, w and w^3 with
    // w = exp(-2 pi i k / (4 width)).
    void (*_Nonnull f64_fourier)(size_t n, const double *_Nonnull twiddles, double *_Nonnull x);
    // From the transforms of x[0] + i x[1], x[2] + i x[3]... (`half` points, a power of two) the half spectra of x, one
    // point more. `twiddles`: exp(-pi i k / half) for k up to half / 2.
    void (*_Nonnull f64_real_spectrum)(size_t half, const double *_Nonnull twiddles, double *_Nonnull z);
    // y[i] = params[x[i]]: a table of 256 bytes.
    eo_unary_kernel *_Nonnull x8_lut;
    // params: struct eo_fake_quantize_params.
    eo_unary_kernel *_Nonnull f32_fake_quantize;
    // params: struct eo_fake_requantize_params.
    eo_unary_kernel *_Nonnull f32_fake_requantize;
    // Its gradient: dx = dy where low <= v <= high, else 0. a is x, b is dy.
    eo_binary_kernel *_Nonnull f32_fake_quantize_gradient;
    // The gradient of the scale (Esser et al., 2020): the sum of dy * (round(v) - v), outside of dy * low or dy * high.
    float (*_Nonnull f32_fake_quantize_scale_gradient)(size_t n, const float *_Nonnull x, const float *_Nonnull dy,
                                                       const struct eo_fake_quantize_params *_Nonnull params);
    // Bit i % 8 of bits[i / 8] is 1 where low <= v <= high or v is NaN; bits behind the last are unspecified.
    void (*_Nonnull f32_passing)(size_t n, const float *_Nonnull x, uint8_t *_Nonnull bits,
                                 const struct eo_fake_quantize_params *_Nonnull params);
    // dx[i] = dy[i] where such a bit is 1, else 0. dx may be dy.
    void (*_Nonnull f32_pass)(size_t n, const float *_Nonnull dy, const uint8_t *_Nonnull bits, float *_Nonnull dx);
    // Maxima, -infinity if there is nothing but NaN, clamped to low...high; and which of its window's pixels, counted
    // along the lines, is the first that has it.
    void (*_Nonnull f32_max_pool_place)(const struct eo_pool_window *_Nonnull w, const float *_Nonnull x,
                                        float *_Nonnull y, uint16_t *_Nonnull place);
    // dx of that pixel is dy, that of the others 0; with `adds` they are added to what is there.
    void (*_Nonnull f32_max_unpool)(const struct eo_pool_window *_Nonnull w, const uint16_t *_Nonnull place,
                                    const float *_Nonnull dy, float *_Nonnull dx, bool adds);
    // y[i] += x[i] + x[stride + i] + ..., `rows` of them, one after the other.
    void (*_Nonnull f32_add_rows)(size_t n, size_t rows, size_t stride, const float *_Nonnull x, float *_Nonnull y);
    // Sums in a fixed order: 16 partial sums, lane i takes the elements i, i + 16, ..., then pairs of lanes.
    float (*_Nonnull f32_sum)(size_t n, const float *_Nonnull x);
    float (*_Nonnull f32_sum_of_squares)(size_t n, const float *_Nonnull x);
    // Largest and smallest element; -inf and inf for n = 0; unspecified if an element is NaN.
    float (*_Nonnull f32_maximum)(size_t n, const float *_Nonnull x);
    float (*_Nonnull f32_minimum)(size_t n, const float *_Nonnull x);
    // y[i] = exp((x[i] - largest) * beta); returns their sum.
    float (*_Nonnull f32_exp_sum)(size_t n, const float *_Nonnull x, float *_Nonnull y, float largest, float beta);
    // Exact sums; n below 2^24 for 8 bits and 2^16 for 16.
    eo_integer_sum *_Nonnull s8_sum, *_Nonnull u8_sum, *_Nonnull s16_sum;
    // sums[i] += x[i] of each row, `stride` elements apart.
    eo_integer_add_rows *_Nonnull s8_add_rows, *_Nonnull u8_add_rows, *_Nonnull s16_add_rows;
    // y[i] = the exact sum of the n products of the run a + i * step_a with the run b + i * step_b.
    void (*_Nonnull s16_dots)(size_t n, size_t count, const int16_t *_Nonnull a, size_t step_a,
                              const int16_t *_Nonnull b, size_t step_b, int64_t *_Nonnull y);
};

// The same kernels for every processor, for AVX2, for AVX-512, for NEON.
extern const struct eo_elementwise eo_elementwise_scalar;
#if defined(__x86_64__)
extern const struct eo_elementwise eo_elementwise_avx2;
extern const struct eo_elementwise eo_elementwise_avx512;
#elif defined(__aarch64__)
extern const struct eo_elementwise eo_elementwise_neon;
#endif

// All of them, richest first, the scalar one last; and the one to use on this machine.
const struct eo_elementwise *_Nonnull const *_Nonnull eo_elementwise_rows(int *_Nonnull count);
const struct eo_elementwise *_Nonnull eo_elementwise_best(void);

#pragma GCC visibility pop
#endif
