// Convolution as a matrix product: rows of activations are the taps of an output pixel, columns the output channels.
// A pointwise convolution takes its rows straight from the image. So does any other in float, in pieces: a kernel row
// or a tap of a pixel is contiguous in the image, and the product gets a table of addresses of such pieces (Dukhan, The
// Indirect Convolution Algorithm, 2019); only kernel rows that cross the left or right edge are copied. Integer
// products gather the taps of a tile's pixels into rows of scratch memory first, which costs about 2 / outputChannels
// of the product itself and gives it contiguous rows of any kernel size, padding, stride and dilation.
#ifndef EDGEOPT_KERNELS_CONVOLUTION_H
#define EDGEOPT_KERNELS_CONVOLUTION_H

#include "elementwise.h"
#include "gemm.h"

#pragma GCC visibility push(hidden)

// NHWC geometry. Channels are those of one group; a pixel holds `groups` times as many.
struct eo_window {
    size_t batch, input_height, input_width, input_channels;
    size_t output_height, output_width, output_channels;
    size_t kernel_height, kernel_width;
    size_t stride_height, stride_width, dilation_height, dilation_width;
    size_t padding_top, padding_left;
    size_t groups;
};

// How the rows of `pixels` output pixels from number `first` on are gathered: pixel after pixel, for each its taps in
// the order kernel row, kernel column, channel. Taps outside the image hold `padding`; each byte is xored with `flip`
// (0x80 turns int8 into uint8 with zero point + 128).
struct eo_gather {
    const struct eo_window *_Nonnull window;
    const void *_Nonnull input; // of the group: its first channel in the first pixel
    size_t first, pixels;
    size_t element_size;
    void *_Nonnull rows;
    size_t row_stride; // bytes, of the last row too; what is behind `fill` may be overwritten
    size_t fill;       // bytes, as the image counts them, to be zeroed behind the taps
    uint8_t padding, flip;
    size_t parts; // of bfloat16, for each float
};
typedef void eo_gather_function(const struct eo_gather *_Nonnull gather);
#define EO_GATHER_ROWS(ROW)                                                                                            \
    X86_ROW(ROW, eo_gather__avx512, ISA_AVX512, 0, 0)                                                                  \
    X86_ROW(ROW, eo_gather__avx2, ISA_AVX2, 0, 0)                                                                      \
    ARM_ROW(ROW, eo_gather__neon, ISA_NEON, 0, 0)                                                                      \
    ROW(eo_gather__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_gather)

// The same with every byte widened to 16 bits: rows for kernels that have no dot product of bytes.
typedef eo_gather_function eo_gather_wide_function;
#define EO_GATHER_WIDE_ROWS(ROW)                                                                                       \
    X86_ROW(ROW, eo_gather_wide__avx512, ISA_AVX512, 0, 0)                                                             \
    ARM_ROW(ROW, eo_gather_wide__neon, ISA_NEON, 0, 0)                                                                 \
    ROW(eo_gather_wide__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_gather_wide)

// Signed bytes as magnitudes and signs: of each four numbers the magnitudes, then for each 0 or, if it is negative,
// 255; after the last four, as int32, the sum of the negative ones' magnitudes. `fill` is what the taps lack to a
// multiple of four bytes; row_stride is a multiple of 64.
typedef eo_gather_function eo_gather_magnitudes_function;
#define EO_GATHER_MAGNITUDES_ROWS(ROW)                                                                                 \
    X86_ROW(ROW, eo_gather_magnitudes__avx2, ISA_AVX2, 0, 0)                                                           \
    ROW(eo_gather_magnitudes__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_gather_magnitudes)

// The one of these that makes rows of bytes as the products of `isa` take them.
eo_gather_function *_Nonnull eo_gather_for(enum kernels_isa isa);

// Numbers of 16 bits in halves, for tiles: the upper bytes of a row's numbers stand at its beginning, the lower ones
// from row_stride / 2 on. `fill` is the same for both. Padding is 0.
typedef eo_gather_function eo_gather_split_function;
#define EO_GATHER_SPLIT_ROWS(ROW)                                                                                      \
    X86_ROW(ROW, eo_gather_split__avx512, ISA_AVX512, 0, 0)                                                            \
    ROW(eo_gather_split__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_gather_split)

// Floats in three `parts` of bfloat16, in the order of eo_bf16x3_gemm's rows, or rounded to one, as eo_bf16_gemm takes
// them; row_stride is eo_bf16x3_row_size or eo_bf16_row_size.
typedef eo_gather_function eo_gather_bf16x3_function;
#define EO_GATHER_BF16X3_ROWS(ROW)                                                                                     \
    X86_ROW(ROW, eo_gather_bf16x3__amx, ISA_AMX, 0, 0)                                                                 \
    ROW(eo_gather_bf16x3__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_gather_bf16x3)

// A product and a sum with constants of each channel, which make another result of a layer's. Runs of it begin at a
// channel that EO_BRANCH_COLUMNS divide.
struct eo_branch {
    eo_scale_shift_kernel *_Nonnull run;
    const float *_Nonnull factors, *_Nonnull shifts; // [channels]
    size_t channels;
    struct eo_scale_shift_params parameters;
};
enum { EO_BRANCH_COLUMNS = 64 };

// What follows a layer, element by element, done to its results while they are in the nearest caches.
struct eo_finish {
    eo_unary_kernel *_Nullable unary;   // y = f(y)
    eo_binary_kernel *_Nullable binary; // y = f(y, operand) or, the other way round, f(operand, y)
    bool operand_first;
    const void *_Nullable operand; // as large as the output
    const void *_Nullable parameters;
    const struct eo_branch *_Nullable branch;
    void *_Nullable second; // result of the branch, as large as the output
    bool second_is_rounded; // from floats to bfloat16
};
// `size` bytes of `output` from `offset` on; elements have `element_size` bytes.
void eo_finish_run(const struct eo_finish *_Nonnull f, void *_Nonnull output, size_t offset, size_t size,
                   size_t element_size);
static inline bool eo_finish_is_needed(const struct eo_finish *_Nonnull f) {
    return f->unary || f->binary || f->branch;
}

// A convolution ready to run. Everything is decided beforehand but the addresses and the number of workers.
struct eo_convolution {
    struct eo_window window;
    size_t input_element_size, output_element_size;
    eo_gemm_function *_Nullable run;
    eo_gather_function *_Nullable gather; // null: pointwise, rows straight from the image
    size_t mr, nr;
    size_t depth;          // as the kernel counts it
    size_t block_size;     // bytes of packed weights for NR columns
    size_t group_size;     // bytes of packed weights for a group
    size_t row_stride;     // bytes of a gathered row
    size_t gathered_tiles; // of `mr` rows, that are gathered at once; 0: one
    size_t slot_size;      // bytes of scratch for a worker
    size_t fill;
    uint8_t padding, flip;
    size_t parts;    // of bfloat16 that floats are gathered in; 0: they are not
    size_t segments; // pieces of a row, see eo_convolution_segment and eo_convolution_by_lines; 0: rows are contiguous
    size_t call_lines;     // output lines for a call of a tile kernel; 0: it gets contiguous rows
    size_t padded_columns; // of lines copied with their padding; 0: the window never leaves the image

    const void *_Nullable input;
    void *_Nullable output;
    const void *_Nullable weights;
    void *_Nullable scratch;
    const void *_Nullable parameters; // of the kernel
    // Of hybrid products, see eo_gemm_tile: those of the matrix's first row. Kernels that have none ignore them.
    const void *_Nullable row_parameters;
    size_t row_parameters_stride;
    struct eo_finish finish;

    // How the work is cut: set by eo_convolution_start. A share is the rows of one worker, or all rows; strips are its
    // parts. A unit takes so many groups.
    size_t chunk_columns, share_tiles, unit_tiles, unit_groups, shares, chunks, strips, workers;
};

// Makes the rows of `convolution` pieces in the image: sets `segments` and `slot_size`. For kernels that take pieces.
void eo_convolution_segment(struct eo_convolution *_Nonnull convolution);

// Whether a tile kernel can take the rows of a convolution straight from the image, each in pieces of a kernel row, and
// this is faster than gathering them; how many pieces, or 0. Lines under windows that leave the image are copied with
// their padding, and so are those whose pieces are no multiple of 4 bytes: the last one is read up to there.
size_t eo_convolution_pieces(const struct eo_window *_Nonnull window);
// Makes the rows of `convolution` such pieces, for up to `workers` workers: sets all that depends on it.
void eo_convolution_by_lines(struct eo_convolution *_Nonnull convolution, size_t pieces, size_t workers);

// How many rows a call of the kernel gets, of the `mr` that it takes at most, for up to `workers` workers. The scratch
// slot must hold as many.
size_t eo_convolution_rows(const struct eo_convolution *_Nonnull convolution, size_t mr, size_t workers);
// For how many calls rows are gathered at once; the slot must hold them.
size_t eo_convolution_gathered(const struct eo_convolution *_Nonnull convolution);
// Decides how the work is cut for up to `workers` workers, sets `workers` to those there is work for and returns the
// number of units. Neighbouring units belong to one worker. Results do not depend on how the work is cut.
size_t eo_convolution_start(struct eo_convolution *_Nonnull convolution, size_t workers);
// Computes a unit; `worker` counts from 0 and owns the scratch slot of that number.
void eo_convolution_work(const struct eo_convolution *_Nonnull convolution, size_t unit, size_t worker);

#define KERNEL_ROW(function, ...) eo_gather_function function;
EO_GATHER_ROWS(KERNEL_ROW)
EO_GATHER_WIDE_ROWS(KERNEL_ROW)
EO_GATHER_MAGNITUDES_ROWS(KERNEL_ROW)
EO_GATHER_SPLIT_ROWS(KERNEL_ROW)
EO_GATHER_BF16X3_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

// Lines of an image rounded to bfloat16, with zeros around it: line `line` of all images', each `height` lines of
// `width` pixels.
struct eo_bf16_image {
    const struct eo_window *_Nonnull window; // the input's sizes
    const float *_Nonnull from;
    uint16_t *_Nonnull to;
    size_t height, width, top, left;
};
void eo_bf16_image_line(const struct eo_bf16_image *_Nonnull image, size_t line);

// A line of such an image in 2 or 3 `parts`, `part` numbers apart, see eo_bf16_split. `scale`: null, or what each
// number of a line is multiplied by.
void eo_bf16_image_parts(const struct eo_bf16_image *_Nonnull image, size_t parts, size_t part,
                         const float *_Nullable scale, size_t line);

// A convolution on tiles that reads its rows from framed images (no padding) as they lie, without groups: a piece for
// each kernel row, cut into steps. The weights are packed when it runs.
struct eo_tile_convolution {
    struct eo_window window; // the input's sizes are those of the frame; dilation_width is 1, or there is one column
    size_t x_parts, w_parts; // see eo_bf16_factor
    eo_bf16_tiles_function *_Nullable run;
    size_t depth, steps, last; // of a piece, see eo_bf16_tiles
    size_t width, lines;       // rows that lie side by side; how many times
    size_t height, line_tiles; // rows of a tile; tiles of a line
    size_t block;              // numbers of 16 columns' packed weights
    const uint16_t *_Nullable image, *_Nullable weights;
    size_t part; // numbers between parts of the image
    // Floats between the results of neighbouring pixels, lines, images.
    size_t pixel_step, line_step, image_step;
    const float *_Nullable bias;
    float *_Nullable output;
    float minimum, maximum;
};
// Fills in the plan from window and parts; false if it cannot run so, or tiles would hardly be filled.
bool eo_tile_convolution_plan(struct eo_tile_convolution *_Nonnull c);
// Packs 16 columns' weights. `inverse`: null, or what the weights of each channel are multiplied by.
void eo_tile_convolution_pack(const struct eo_tile_convolution *_Nonnull c, const struct eo_strided_weights *_Nonnull w,
                              const float *_Nullable inverse, size_t block, uint16_t *_Nonnull packed);
size_t eo_tile_convolution_units(const struct eo_tile_convolution *_Nonnull c);
void eo_tile_convolution_work(const struct eo_tile_convolution *_Nonnull c, size_t unit);

#pragma GCC visibility pop
#endif
