// Depthwise convolution: each channel by itself, vectors run over channels. NHWC, one output channel per input channel.
#ifndef EDGEOPT_KERNELS_DEPTHWISE_H
#define EDGEOPT_KERNELS_DEPTHWISE_H

#include "convolution.h"

#pragma GCC visibility push(hidden)

// Some neighbouring output pixels of a row. Tap t of pixel i lies at tap[t] + i * step[t] (bytes); taps in the padding
// point at a row of padding values with step 0. Nothing outside the stated channels is touched.
struct eo_depthwise_run {
    size_t pixels, channels, taps;
    const void *_Nonnull const *_Nonnull tap;
    const size_t *_Nonnull step;
    const void *_Nonnull weights;
    void *_Nonnull output;
    size_t output_stride; // bytes between pixels
    const void *_Nonnull parameters;
};
typedef void eo_depthwise_function(const struct eo_depthwise_run *_Nonnull run);

// Channels are padded to a multiple of this in packed weights, so that every tap begins on a cache line.
enum { EO_DEPTHWISE_CHANNELS = 64 };
static inline size_t eo_depthwise_stride(size_t channels) {
    return (channels + EO_DEPTHWISE_CHANNELS - 1) / EO_DEPTHWISE_CHANNELS * EO_DEPTHWISE_CHANNELS;
}

// ---------------------------------------------------------------------------------------------------------- float32

// Packed: float bias[padded channels]; float weights[taps][padded channels]. Parameters: eo_f32_gemm_parameters.
typedef eo_depthwise_function eo_f32_depthwise_function;
#define EO_F32_DEPTHWISE_ROWS(ROW)                                                                                     \
    X86_ROW(ROW, eo_f32_depthwise__avx512, ISA_AVX512, 0, 0)                                                           \
    X86_ROW(ROW, eo_f32_depthwise__avx2, ISA_AVX2, 0, 0)                                                               \
    ARM_ROW(ROW, eo_f32_depthwise__neon, ISA_NEON, 0, 0)                                                               \
    ROW(eo_f32_depthwise__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_f32_depthwise)

// Whole output lines, counted over all images, of a square kernel of 3 or 5 taps a side: `count` from number `first`
// on. Sums in the same order as the other, taps in the padding being zeros.
struct eo_f32_depthwise_lines {
    const struct eo_window *_Nonnull window; // groups 1, both channel counts the same
    const void *_Nonnull input;
    void *_Nonnull output;
    const void *_Nonnull weights;
    struct eo_f32_gemm_parameters parameters;
    size_t first, count;
    float *_Nonnull scratch;                  // EO_DEPTHWISE_SCRATCH bytes
    bool input_is_rounded, output_is_rounded; // bfloat16; of AVX-512 and without vectors only
};
// Dilated kernels of stride 1 go over every so many-th pixel at a time: an image of its own, without dilation. How many
// such images there are along a side.
static inline size_t eo_f32_depthwise_phases(const struct eo_window *_Nonnull w, size_t dilation) {
    return w->stride_height == 1 && w->stride_width == 1 ? dilation : 1;
}
// Half of a first-level cache.
enum { EO_DEPTHWISE_SCRATCH = 24 * 1024 };
typedef void eo_f32_depthwise_lines_function(const struct eo_f32_depthwise_lines *_Nonnull lines);
#define EO_F32_DEPTHWISE_LINES_ROWS(ROW)                                                                               \
    X86_ROW(ROW, eo_f32_depthwise_lines__avx512, ISA_AVX512, 0, 0)                                                     \
    X86_ROW(ROW, eo_f32_depthwise_lines__avx2, ISA_AVX2, 0, 0)                                                         \
    ARM_ROW(ROW, eo_f32_depthwise_lines__neon, ISA_NEON, 0, 0)                                                         \
    ROW(eo_f32_depthwise_lines__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_f32_depthwise_lines)

size_t eo_f32_depthwise_packed_size(size_t taps, size_t channels);
// `weights` [taps][channels]; bias [channels] or null. Any alignment.
void eo_f32_depthwise_pack(size_t taps, size_t channels, const void *_Nonnull weights, const void *_Nullable bias,
                           void *_Nonnull packed);

// ------------------------------------------------------------------------------------- blocks of integer weights

// Kernels that multiply `mr` taps at once have blocks of `nr` channels: int32 bias[NR]; float scale[NR]; weights[taps /
// MR][NR][MR], int8 where four taps are multiplied at once, int16 where fewer are. Channels stand in the order of
// eo_depthwise_channel, in which interleaving the bytes of 4 * MR channels within each 16 bytes leaves them; taps in
// that of eo_depthwise_tap.

// Taps of a group: `mr`, but three of a 3x3 kernel where it is four, for whole kernel rows.
static inline size_t eo_depthwise_group(size_t mr, size_t taps) { return mr == 4 && taps == 9 ? 3 : mr; }

// How many neighbouring pixels go together where their channels fill whole blocks and those of one would not; the
// weights are packed as often. Of kernels that multiply several taps at once.
static inline size_t eo_depthwise_pixels(size_t mr, size_t nr, size_t channels) {
    size_t pixels = 1;
    while (mr > 1 && pixels * channels % nr != 0) pixels *= 2;
    return pixels * channels <= 1024 ? pixels : 1;
}

// Blocks of weights. Where the channels of one pixel fill more than a block, but not whole ones, a last block is that
// of the last `nr` channels.
struct eo_depthwise_blocks {
    size_t whole; // of channels in their order; the last one may be filled up
    bool has_last;
};
static inline struct eo_depthwise_blocks eo_depthwise_blocks(size_t mr, size_t nr, size_t channels) {
    const size_t all = channels * eo_depthwise_pixels(mr, nr, channels);
    return (struct eo_depthwise_blocks){(all + nr - 1) / nr, mr > 1 && channels > nr && channels % nr != 0};
}

// Channel of a block that stands at `place`.
static inline size_t eo_depthwise_channel(size_t mr, size_t nr, size_t place) {
    const size_t vector = place / (nr / mr), lane = place % (nr / mr) / 4;
    return lane * 4 * mr + vector * 4 + place % 4;
}
// The i-th tap: of 3x3 kernels in pairs, the first two of each row come before the third ones.
static inline size_t eo_depthwise_tap(size_t mr, size_t taps, size_t i) {
    return mr != 2 || taps != 9 ? i : i < 6 ? i / 2 * 3 + i % 2 : (i - 6) * 3 + 2;
}

// ----------------------------------------------------------------------------------------------------- 8 bits to 8
// bits

// Sums and results as eo_u8_gemm; the activations are xored with `flip` (0x80: int8) as they are read, and the weights'
// zero point takes the sum of the taps. Kernels that multiply signed bytes only make them that, and packing takes 128
// off the activations' zero point for them.
typedef eo_depthwise_function eo_u8_depthwise_function;
struct eo_u8_depthwise_parameters {
    float maximum; // relative to the output's zero point
    int32_t minimum, output_zero_point;
    int32_t weight_zero_point;
    uint8_t flip;
};
#define EO_U8_DEPTHWISE_ROWS(ROW)                                                                                      \
    X86_ROW(ROW, eo_u8_depthwise_4x64__avx512vnni, ISA_AVX512VNNI, 4, 64)                                              \
    X86_ROW(ROW, eo_u8_depthwise_2x32__avx512, ISA_AVX512, 2, 32)                                                      \
    X86_ROW(ROW, eo_u8_depthwise_4x32__avxvnni, ISA_AVXVNNI, 4, 32)                                                    \
    X86_ROW(ROW, eo_u8_depthwise_2x16__avx2, ISA_AVX2, 2, 16)                                                          \
    ARM_ROW(ROW, eo_u8_depthwise_4x16__neondot, ISA_NEONDOT, 4, 16)                                                    \
    ARM_ROW(ROW, eo_u8_depthwise_1x16__neon, ISA_NEON, 1, 16)                                                          \
    ROW(eo_u8_depthwise_1x4__scalar, ISA_SCALAR, 1, 4)
KERNEL_FAMILY(eo_u8_depthwise)

// eo_u8_gemm_weights with [depth = taps][columns = channels] weights.
size_t eo_u8_depthwise_packed_size(const eo_u8_depthwise_kernel *_Nonnull kernel, size_t taps, size_t channels);
void eo_u8_depthwise_pack(const eo_u8_depthwise_kernel *_Nonnull kernel,
                          const struct eo_u8_gemm_weights *_Nonnull weights, void *_Nonnull packed);

// --------------------------------------------------------------------------------------------------- 16 bits to 16
// bits

// As eo_s16_gemm. Packed, each array padded to eo_depthwise_stride: int64 bias; float scale; int16 weights[taps].
//
// Where `mr` is 2: blocks as above, sums of 32 bits. Such kernels are for `sums_fit_32`, zero points of 0 and less than
// 256 taps only.
typedef eo_depthwise_function eo_s16_depthwise_function;
#define EO_S16_DEPTHWISE_ROWS(ROW)                                                                                     \
    X86_ROW(ROW, eo_s16_depthwise_2x32__avx512, ISA_AVX512, 2, 32)                                                     \
    X86_ROW(ROW, eo_s16_depthwise_2x16__avx2, ISA_AVX2, 2, 16)                                                         \
    X86_ROW(ROW, eo_s16_depthwise__avx2, ISA_AVX2, 0, 0)                                                               \
    ARM_ROW(ROW, eo_s16_depthwise__neon, ISA_NEON, 0, 0)                                                               \
    ROW(eo_s16_depthwise__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_s16_depthwise)

// The best kernel: of all, or of those for any sums.
const eo_s16_depthwise_kernel *_Nonnull eo_s16_depthwise_for(bool sums_fit_32);
size_t eo_s16_depthwise_packed_size(const eo_s16_depthwise_kernel *_Nonnull kernel, size_t taps, size_t channels);
// `weights`: int8 [taps][channels]; scale, bias: [channels].
void eo_s16_depthwise_pack(const eo_s16_depthwise_kernel *_Nonnull kernel, size_t taps, size_t channels,
                           const uint8_t *_Nonnull weights, const float *_Nonnull scale, const int64_t *_Nonnull bias,
                           void *_Nonnull packed);

// ------------------------------------------------------------------------------------------------------------ images

// A depthwise convolution ready to run. `groups` of the window is 1, both channel counts are the same.
struct eo_depthwise {
    struct eo_window window;
    size_t input_element_size, output_element_size; // of float kernels 2: bfloat16
    eo_depthwise_function *_Nullable run;
    eo_f32_depthwise_lines_function *_Nullable lines; // runs instead, if there is one
    size_t slot_size;                                 // bytes of scratch for a worker

    const void *_Nullable input;
    void *_Nullable output;
    const void *_Nullable weights;
    const void *_Nullable padding; // a pixel of padding values
    void *_Nullable scratch;
    const void *_Nullable parameters;
    struct eo_finish finish;

    size_t unit_rows, workers; // set by eo_depthwise_start: output rows in a unit, workers there is work for
};
// Whether eo_f32_depthwise_lines can run it and is the faster one.
bool eo_f32_depthwise_by_lines(const struct eo_window *_Nonnull window);
// Whether it can.
bool eo_f32_depthwise_fits_lines(const struct eo_window *_Nonnull window);
// Whether its image had better be bfloat16 where layers compute in that.
bool eo_f32_depthwise_rounds(const struct eo_window *_Nonnull window);
// Bytes of scratch a worker needs where there is no `lines`; otherwise it is EO_DEPTHWISE_SCRATCH.
size_t eo_depthwise_slot_size(const struct eo_window *_Nonnull window);
// As eo_convolution_start and eo_convolution_work.
size_t eo_depthwise_start(struct eo_depthwise *_Nonnull depthwise, size_t workers);
void eo_depthwise_work(const struct eo_depthwise *_Nonnull depthwise, size_t unit, size_t worker);

#define KERNEL_ROW(function, ...) eo_depthwise_function function;
EO_F32_DEPTHWISE_ROWS(KERNEL_ROW)
EO_U8_DEPTHWISE_ROWS(KERNEL_ROW)
EO_S16_DEPTHWISE_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_f32_depthwise_lines_function function;
EO_F32_DEPTHWISE_LINES_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

#pragma GCC visibility pop
#endif
