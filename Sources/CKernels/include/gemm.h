// Matrix product micro-kernels: rows of activations times packed weights. Convolution, fully connected layers and
// matrix products all come down to these; convolution.h says how rows of activations are made from an image.
#ifndef EDGEOPT_KERNELS_GEMM_H
#define EDGEOPT_KERNELS_GEMM_H

#include "family.h"

#pragma GCC visibility push(hidden)

// One call computes `rows` x `columns` results, each the sum over `depth` products, for 1 <= rows <= MR and any number
// of columns. Strides count bytes. Nothing outside the stated rows and columns of `input` and `output` is touched.
//
// Packed weights lie in blocks of NR columns; the last block is filled up with zeros. One element of a result always
// sums in the order bias, k = 0, 1, 2, ..., so its bits depend neither on its tile nor on who computes it.
struct eo_gemm_tile {
    size_t rows, columns, depth;
    const void *_Nonnull input;
    size_t input_stride;
    const void *_Nonnull weights;
    void *_Nonnull output;
    size_t output_stride;
    const void *_Nonnull parameters;      // struct of the family
    const void *_Nullable row_parameters; // of families with numbers for each row: those of the first row
    size_t row_parameters_stride;         // 0: all rows share them
    // Float only. Rows in pieces, if `segments` is not 0: piece s of row i is depth / segments elements at
    // segment[s * MR + i], and `input` is not used; if input_stride is not 0, there are MR
    // rows, pieces of neighbouring ones lie that far apart, and the table need only hold the first one's. All pieces
    // begin `segment_offset` bytes behind where the table says.
    size_t segments, segment_offset;
    const void *_Nonnull const *_Nullable segment;
    // Tile kernels, if `segments` is not 0: rows straight from an image. Row i begins at input + i / line_rows *
    // line_stride + i % line_rows * input_stride, and its pieces of depth / segments bytes lie segment_stride apart.
    size_t line_rows, line_stride, segment_stride;
    // bfloat16 only: rows come in tiles, as those of eo_bf16x3_gemm do.
    bool in_tiles;
    // bfloat16 only: results leave rounded to it, to nearest, ties to even.
    bool rounds;
    // Float only: memory to be brought into the second-level cache meanwhile, or null.
    const void *_Nullable ahead;
    size_t ahead_size;
};
typedef void eo_gemm_function(const struct eo_gemm_tile *_Nonnull tile);

// A call of a tile kernel, which configures and releases the tiles, is worth it for many rows; it cuts them itself.
enum { EO_AMX_ROWS = 512 };

// ---------------------------------------------------------------------------------------------------------- float32

// Block: float bias[NR]; float weights[depth][NR].
typedef eo_gemm_function eo_f32_gemm_function;
struct eo_f32_gemm_parameters {
    float minimum, maximum;
};
#define EO_F32_GEMM_ROWS(ROW)                                                                                          \
    X86_ROW(ROW, eo_f32_gemm_14x32__avx512, ISA_AVX512, 14, 32)                                                        \
    X86_ROW(ROW, eo_f32_gemm_6x16__avx2, ISA_AVX2, 6, 16)                                                              \
    ARM_ROW(ROW, eo_f32_gemm_12x8__neon, ISA_NEON, 12, 8)                                                              \
    ROW(eo_f32_gemm_4x8__scalar, ISA_SCALAR, 4, 8)
KERNEL_FAMILY(eo_f32_gemm)

size_t eo_f32_gemm_packed_size(int nr, size_t depth, size_t columns);
// `weights` [columns][depth] (a row for each output channel); bias [columns] or null. Any alignment.
void eo_f32_gemm_pack(int nr, size_t depth, size_t columns, const void *_Nonnull weights, const void *_Nullable bias,
                      void *_Nonnull packed);
// The same from rows `stride` floats apart.
void eo_f32_gemm_pack_rows(int nr, size_t depth, size_t columns, size_t stride, const void *_Nonnull weights,
                           const void *_Nullable bias, void *_Nonnull packed);
// The same from `weights` [depth][columns], rows `stride` floats apart; no bias.
void eo_f32_gemm_pack_transposed(int nr, size_t depth, size_t columns, size_t stride, const float *_Nonnull weights,
                                 void *_Nonnull packed);
// Packed weights of eo_f32_gemm for columns first ... first + nr - 1, from floats that lie anywhere: the weight of tap
// t, channel c, column j is weights[tap[t] + c * depth_stride + j * column_stride]. bias: of all columns, or null.
struct eo_strided_weights {
    const float *_Nonnull weights;
    const size_t *_Nonnull tap;
    size_t taps, channels, columns;
    size_t depth_stride, column_stride;
    const float *_Nullable bias;
};
void eo_f32_gemm_pack_block(int nr, const struct eo_strided_weights *_Nonnull w, size_t first, float *_Nonnull block);
// copy = source; false if it was that before. For weights that need not be packed again.
bool eo_renew(void *_Nonnull copy, const void *_Nonnull source, size_t size);

// Sums of outer products: the sum over the pixels p of a[p][i] b[p][j] is added to output[i][j], in the order of the
// pixels (a kernel may sum every second or fourth one apart); consecutive pixels of a run are a_step and b_step floats
// apart. Neither factor is packed: what a product with a transposed left side asks for, as gradients of weights are.
struct eo_outer_run {
    const float *_Nonnull a, *_Nonnull b;
    size_t count;
};
struct eo_outer_tile {
    size_t rows, columns; // any number
    const struct eo_outer_run *_Nonnull runs;
    size_t run_count, a_step, b_step;
    float *_Nonnull output;
    size_t output_step; // floats between rows
};
typedef void eo_f32_outer_function(const struct eo_outer_tile *_Nonnull tile);
#define EO_F32_OUTER_ROWS(ROW)                                                                                         \
    X86_ROW(ROW, eo_f32_outer__avx512, ISA_AVX512, 16, 16)                                                             \
    X86_ROW(ROW, eo_f32_outer__avx2, ISA_AVX2, 10, 8)                                                                  \
    ARM_ROW(ROW, eo_f32_outer__neon, ISA_NEON, 16, 4)                                                                  \
    ROW(eo_f32_outer__scalar, ISA_SCALAR, 1, 1)
KERNEL_FAMILY(eo_f32_outer)

// ------------------------------------------------------------------------------------------- float32, sparse weights

// Weights that are zero for all of EO_SPARSE_COLUMNS neighbouring columns at most of the steps of depth (16x1 blocks of
// zeros): only the others are there. Rows in one piece. Sums have the order of the dense product, without the zeros; an
// infinity or NaN that meets only zeros is not seen. NR is EO_SPARSE_COLUMNS; parameters: eo_f32_gemm_parameters.
enum { EO_SPARSE_COLUMNS = 16 };
struct eo_sparse_block {
    float bias[EO_SPARSE_COLUMNS];
    size_t count;  // steps with a weight that is not zero
    size_t offset; // from this block to float weights[count][EO_SPARSE_COLUMNS]; uint32_t step[count]
    char filling[48];
};
typedef eo_gemm_function eo_f32_sparse_function;
#define EO_F32_SPARSE_ROWS(ROW)                                                                                        \
    X86_ROW(ROW, eo_f32_sparse_14x16__avx512, ISA_AVX512, 14, 16)                                                      \
    X86_ROW(ROW, eo_f32_sparse_6x16__avx2, ISA_AVX2, 6, 16)                                                            \
    ARM_ROW(ROW, eo_f32_sparse_6x16__neon, ISA_NEON, 6, 16)                                                            \
    ROW(eo_f32_sparse_4x16__scalar, ISA_SCALAR, 4, 16)
KERNEL_FAMILY(eo_f32_sparse)

// How many groups of weights are not zero; the count ends above `most`. `weights` [columns][depth], any alignment.
size_t eo_f32_sparse_groups(size_t depth, size_t columns, const void *_Nonnull weights, size_t most);
size_t eo_f32_sparse_packed_size(size_t columns, size_t groups);
void eo_f32_sparse_pack(size_t depth, size_t columns, const void *_Nonnull weights, const void *_Nullable bias,
                        void *_Nonnull packed);

// ------------------------------------------------------------------------------------------------- bfloat16 to float32

// Rows of bfloat16 activations times bfloat16 weights, summed in float32: products are exact, sums rounded in an order
// of the kernel's own, subnormal numbers may count as zero. `depth` is even, filled up with zeros. Parameters:
// eo_f32_gemm_parameters; results are float32, or bfloat16. Block: float bias[NR]; bfloat16 weights[depth / 2][NR][2],
// for tile kernels in steps as below. Rows may also come in tiles as those of eo_bf16x3_gemm, but in one part, in which
// numbers follow one another: rows of a tile are the last ones where there are fewer left than a tile's; there are as
// many pieces as steps.
typedef eo_gemm_function eo_bf16_gemm_function;
#define EO_BF16_GEMM_ROWS(ROW)                                                                                         \
    X86_ROW(ROW, eo_bf16_gemm_32x32__amx, ISA_AMX, EO_AMX_ROWS, 32)                                                    \
    ROW(eo_bf16_gemm_4x8__scalar, ISA_SCALAR, 4, 8)
KERNEL_FAMILY(eo_bf16_gemm)

// Bytes of a block of packed weights. `pieces`: of a row, each cut into steps by itself: 1, or for tiles what divides
// the depth into even numbers; 0: rows in tiles.
size_t eo_bf16_gemm_packed_size(const eo_bf16_gemm_kernel *_Nonnull kernel, size_t depth, size_t pieces);
// As eo_f32_gemm_pack; weights are rounded to nearest, ties to even.
void eo_bf16_gemm_pack(const eo_bf16_gemm_kernel *_Nonnull kernel, size_t depth, size_t pieces, size_t columns,
                       const void *_Nonnull weights, const void *_Nullable bias, void *_Nonnull packed);

// y = x rounded to bfloat16, to nearest, ties to even. A NaN becomes a quiet one; subnormal numbers may become zero.
typedef void eo_f32_to_bf16_function(size_t count, const float *_Nonnull x, uint16_t *_Nonnull y);
#define EO_F32_TO_BF16_ROWS(ROW)                                                                                       \
    X86_ROW(ROW, eo_f32_to_bf16__amx, ISA_AMX, 0, 0)                                                                   \
    ROW(eo_f32_to_bf16__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_f32_to_bf16)

// y = x as float32.
typedef void eo_bf16_to_f32_function(size_t count, const uint16_t *_Nonnull x, float *_Nonnull y);
#define EO_BF16_TO_F32_ROWS(ROW)                                                                                       \
    X86_ROW(ROW, eo_bf16_to_f32__amx, ISA_AMX, 0, 0)                                                                   \
    ROW(eo_bf16_to_f32__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_bf16_to_f32)

// Packed weights of eo_bf16_gemm for columns first ... first + NR - 1, from floats that lie anywhere.
void eo_bf16_gemm_pack_block(const eo_bf16_gemm_kernel *_Nonnull kernel, size_t pieces,
                             const struct eo_strided_weights *_Nonnull w, size_t first, void *_Nonnull block);

// ---------------------------------------------------------------- float32 in three parts of bfloat16 each, to float32

// A float is the sum of three bfloat16, each of the next 8 bits, exactly; of the nine products of two floats' parts the
// six largest are taken (Henry, Tang, Heinecke, Leveraging the bfloat16 Artificial Intelligence Datatype for
// Higher-Precision Computations, 2019). What is left out is less than what a sum in float32 rounds away, and tiles
// multiply faster than floats all the same. Sums are rounded in an order of the kernel's own; an infinity counts as
// NaN, parts below the normal numbers as zero. Parameters: eo_f32_gemm_parameters.
//
// Rows come in eo_gather_bf16x3's order, cut into steps of 32 in depth, the last filled up with zeros: a step of 16
// rows has a tile of lines of 64 bytes for each part, largest first, in which numbers k and k + 16 are pair k; tiles
// follow one another, step after step. A tile has eo_bf16x3_height rows; there is an even number of tiles, 16 *
// input_stride bytes from one to the next.
//
// Block of weights: float bias[32]; for each step in depth, for each part, the tiles of the left and the right 16
// columns, in which line k has pair k of each column.
enum {
    EO_BF16X3_PARTS = 3,
    EO_BF16X3_STEP = 32,
    EO_BF16X3_SIDE = 16,
    EO_BF16X3_LINE = 64,
    EO_BF16X3_TILE = EO_BF16X3_SIDE * EO_BF16X3_LINE
};
typedef eo_gemm_function eo_bf16x3_gemm_function;
#define EO_BF16X3_GEMM_ROWS(ROW)                                                                                       \
    X86_ROW(ROW, eo_bf16x3_gemm_32x32__amx, ISA_AMX, EO_AMX_ROWS, 32)                                                  \
    ROW(eo_bf16x3_gemm_32x32__scalar, ISA_SCALAR, 32, 32)
KERNEL_FAMILY(eo_bf16x3_gemm)

// A step of a block of weights, from floats [32][32].
typedef void eo_bf16x3_split_function(const float *_Nonnull weights, char *_Nonnull to);
#define EO_BF16X3_SPLIT_ROWS(ROW)                                                                                      \
    X86_ROW(ROW, eo_bf16x3_split__avx512, ISA_AVX512, 0, 0)                                                            \
    ROW(eo_bf16x3_split__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_bf16x3_split)

// Bytes of a row, of one part and of three.
static inline size_t eo_bf16_row_size(size_t depth) {
    return (depth + EO_BF16X3_STEP - 1) / EO_BF16X3_STEP * EO_BF16X3_LINE;
}
static inline size_t eo_bf16x3_row_size(size_t depth) { return EO_BF16X3_PARTS * eo_bf16_row_size(depth); }
// Rows of a tile, for so many rows of a call.
static inline size_t eo_bf16x3_height(size_t rows) {
    const size_t tiles = (rows + 2 * EO_BF16X3_SIDE - 1) / (2 * EO_BF16X3_SIDE) * 2;
    return (rows + tiles - 1) / tiles;
}
// Bytes of packed weights.
static inline size_t eo_bf16x3_gemm_packed_size(size_t depth, size_t columns) {
    return (columns + 31) / 32 * 32 * (sizeof(float) + eo_bf16x3_row_size(depth));
}
// As eo_f32_gemm_pack.
void eo_bf16x3_gemm_pack(size_t depth, size_t columns, const void *_Nonnull weights, const void *_Nullable bias,
                         void *_Nonnull packed);

// ------------------------------------------------------------------------------------------------- tiles of parts, as
// they lie

// The same parts, of images that are cut up once and then read as they lie: three images of bfloat16. Numbers of fewer
// bits, whole ones up to 256 say, are one part; so is what is rounded to bfloat16 on purpose.
// Gradients are cut into two parts, each rounded to nearest: 16 bits and a sign, and three products of parts instead of
// six. What is lost has either sign as often, so it hardly shows in their long sums.
enum { EO_BF16_PARTS = EO_BF16X3_PARTS, EO_BF16_GRADIENT_PARTS = 2 };
// Added to the bits of a float before all but its upper half is dropped: half of what stays counts least.
enum { EO_BF16_HALF = 0x8000 };

// What tile_gradient.c makes of a line of some images at a time, in pairs: pair number n is pixel n / abreast - skip of
// the images 2 (n % abreast) and the one behind it, times `scale`, or 0 where there is no such pixel or image, in 1 or
// 2 `parts`, to_part numbers apart. Parts are rounded to nearest; one part with ties to even (numbers below the normal
// ones may become zero).
struct eo_bf16_line {
    const float *_Nonnull from;   // the first image's line
    size_t images, image;         // how many there are, floats from one to the next
    size_t pixels, last;          // of a line, of the last image's
    size_t channels, step;        // floats between pixels
    size_t abreast, skip, filled; // `filled`: pairs; `skip` may be negative
    float scale;
    size_t parts;
    uint16_t *_Nonnull to;
    size_t to_step, to_part;
    float *_Nullable sums; // of rows: null, or where the sums of each channel are added
};
// Pair n of channel c at to[c / 16 * to_step + (n * 16 + c % 16) * 2], zeros up to a multiple of 16 channels: a window
// that moves by a pixel moves by `abreast` pairs.
typedef void eo_bf16_pairs_function(const struct eo_bf16_line *_Nonnull line);
#define EO_BF16_PAIRS_ROWS(ROW)                                                                                        \
    X86_ROW(ROW, eo_bf16_pairs__amx, ISA_AMX, 0, 0)                                                                    \
    ROW(eo_bf16_pairs__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_bf16_pairs)
// Rows of tiles: pair n of channel c at to[c / 16 * to_step + ((n / 16 * 16 + c % 16) * 16 + n % 16) * 2]; `filled` is
// a multiple of 16.
typedef void eo_bf16_rows_function(const struct eo_bf16_line *_Nonnull line);
#define EO_BF16_ROWS_ROWS(ROW)                                                                                         \
    X86_ROW(ROW, eo_bf16_rows__amx, ISA_AMX, 0, 0)                                                                     \
    ROW(eo_bf16_rows__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_bf16_rows)
// Parts of x[i] scale[i] (scale null: 1) at y[i], y[part + i] and so on: three, cut off, or two, rounded to nearest.
typedef void eo_bf16_split_function(size_t count, const float *_Nonnull x, const float *_Nullable scale, size_t parts,
                                    uint16_t *_Nonnull y, size_t part);
#define EO_BF16_SPLIT_ROWS(ROW)                                                                                        \
    X86_ROW(ROW, eo_bf16_split__amx, ISA_AMX, 0, 0)                                                                    \
    ROW(eo_bf16_split__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_bf16_split)

// Products of rows by columns, both 16 at most: output[i * output_step + j] gets the sum of a[i][p] b[j][p] over
// segments and numbers p. A segment is read in steps of `depth` (even, at most EO_TILE_STEP) numbers. Numbers of a row
// follow each other; those of a step of the columns are a run of depth / 2 x 16 pairs. One factor is `shared` by up to
// EO_TILES `tiles` of the other one. (Rows that begin within a cache line take six times as long to load as others.)
enum { EO_TILES = 3, EO_TILE_SIDE = 16, EO_TILE_STEP = 32 };
struct eo_bf16_factor {
    size_t parts;         // 1, 2 or 3; both factors have as many, or one of them 1
    size_t part, segment; // numbers between parts, between segments
    size_t step, last;    // between steps; from the beginning of a segment to its last step
    size_t row;           // of rows: between them
};
struct eo_bf16_tiles {
    bool shares_rows; // otherwise columns
    size_t count;     // of tiles
    size_t segments, steps, depth;
    struct eo_bf16_factor of_tiles, of_shared;
    const uint16_t *_Nullable tiles[EO_TILES];
    const uint16_t *_Nonnull shared;
    size_t rows[EO_TILES], columns[EO_TILES];
    // Sums go on from the squares [EO_TILES][16][16], if `goes_on`, and back to them; if there is an output they go
    // there instead, times `scale` and then clamped, and `squares` may be null. `bias`: null, or what is added for each
    // column in between.
    float *_Nullable squares;
    bool goes_on;
    float *_Nullable output[EO_TILES];
    size_t output_step;
    float scale, minimum, maximum;
    const float *_Nullable bias;
};
// Some of them, of the same depth. Shared columns: 3 and 3, 2 and 2, or 2 parts and 1; rows: 1 and 1, 1 and 2, 2 and 2.
typedef void eo_bf16_tiles_function(const struct eo_bf16_tiles *_Nonnull tiles, size_t count);
#define EO_BF16_TILES_ROWS(ROW)                                                                                        \
    X86_ROW(ROW, eo_bf16_tiles__amx, ISA_AMX, 16, 16)                                                                  \
    ROW(eo_bf16_tiles__scalar, ISA_SCALAR, 1, 1)
KERNEL_FAMILY(eo_bf16_tiles)

// ------------------------------------------------------------------------------------------- 8 bits to 8 bits or float

// Rows of uint8 activations times int8 weights, summed in int32 (modulo 2^32). `depth` is a multiple of 4, filled up
// with zeros, of 8 for the pairs of I8MM. Tiles multiply signed bytes as well, ARM's instructions and AVX2 only those:
// eo_gemm_takes_signed_rows, eo_gemm_takes_unsigned_rows. Other kernels without instructions for dot products of bytes
// take rows of the same numbers widened to 16 bits, those of AVX2 the magnitudes of each four, then their signs
// (eo_gather_magnitudes); eo_gemm_takes_words and eo_gemm_takes_magnitudes tell. All kernels of a family give the same
// bits.
static inline bool eo_gemm_takes_unsigned_rows(enum kernels_isa isa) {
    return isa != ISA_NEONDOT && isa != ISA_I8MM && isa != ISA_AVX2;
}
static inline bool eo_gemm_takes_signed_rows(enum kernels_isa isa) {
    return isa == ISA_AMX || !eo_gemm_takes_unsigned_rows(isa);
}
static inline bool eo_gemm_takes_magnitudes(enum kernels_isa isa) { return isa == ISA_AVX2; }
static inline bool eo_gemm_takes_words(enum kernels_isa isa) {
    return isa == ISA_SCALAR || isa == ISA_AVX512 || isa == ISA_NEON;
}
// Bytes of a row of `depth` numbers.
static inline size_t eo_gemm_row_size(enum kernels_isa isa, size_t depth) {
    if (eo_gemm_takes_magnitudes(isa)) return 2 * depth + sizeof(int32_t);
    return eo_gemm_takes_words(isa) ? 2 * depth : depth;
}
static inline size_t eo_gemm_depth_step(enum kernels_isa isa) { return isa == ISA_I8MM ? 8 : 4; }

// Result: f = (float)sum * scale[column]; f = min(max(f, minimum), maximum); byte of rint_ties_even(f) + output zero
// point, where sum includes bias[column] and minus weight_zero_point times the sum of the row.
// Block: int32 bias[NR]; float scale[NR]; int8 weights[depth / 4][NR][4] (of I8MM: [depth / 8][NR][8]). For tile
// kernels the depth is cut into steps of 64, the last of which ends with the row (where it overlaps the one before,
// weights are 0), and the weights of a step are two tiles [depth / 4][16][4].
typedef eo_gemm_function eo_u8_gemm_function;
struct eo_u8_gemm_parameters {
    float minimum, maximum; // relative to the output's zero point
    int32_t output_zero_point;
    int32_t weight_zero_point;
    bool rows_are_signed;  // of tile kernels
    bool scales_below_one; // so that f fits 32 bits whatever the sum; false is always right
};
#define EO_U8_GEMM_ROWS(ROW)                                                                                           \
    X86_ROW(ROW, eo_u8_gemm_32x32__amx, ISA_AMX, EO_AMX_ROWS, 32)                                                      \
    X86_ROW(ROW, eo_u8_gemm_14x32__avx512vnni, ISA_AVX512VNNI, 14, 32)                                                 \
    X86_ROW(ROW, eo_u8_gemm_12x16__avx512, ISA_AVX512, 12, 16)                                                         \
    X86_ROW(ROW, eo_u8_gemm_6x16__avxvnni, ISA_AVXVNNI, 6, 16)                                                         \
    X86_ROW(ROW, eo_u8_gemm_6x32__avx2, ISA_AVX2, 6, 32)                                                               \
    ARM_ROW(ROW, eo_u8_gemm_10x8__i8mm, ISA_I8MM, 10, 8)                                                               \
    ARM_ROW(ROW, eo_u8_gemm_12x8__neondot, ISA_NEONDOT, 12, 8)                                                         \
    ARM_ROW(ROW, eo_u8_gemm_8x8__neon, ISA_NEON, 8, 8)                                                                 \
    ROW(eo_u8_gemm_4x8__scalar, ISA_SCALAR, 4, 8)
KERNEL_FAMILY(eo_u8_gemm)

// Weights of a convolution or fully connected layer as the file has them.
struct eo_u8_gemm_weights {
    size_t depth, columns;           // depth: before filling up
    const uint8_t *_Nonnull weights; // [columns][depth]
    uint8_t flip;                    // 0x80 if they are uint8: xor makes them int8, less by 128
    int32_t weight_zero_point;       // of the int8 weights
    int32_t input_zero_point;        // of the activations as the kernel takes them
    const int32_t *_Nullable bias;   // [columns]
    const float *_Nonnull scale;     // [columns]
    size_t pieces;                   // of a row, each cut into steps by itself: 1, or what divides `depth` for tiles
};
size_t eo_u8_gemm_packed_size(const eo_u8_gemm_kernel *_Nonnull kernel, size_t depth, size_t columns, size_t pieces);
void eo_u8_gemm_pack(const eo_u8_gemm_kernel *_Nonnull kernel, const struct eo_u8_gemm_weights *_Nonnull weights,
                     void *_Nonnull packed);

// Dynamic range: activations of row i were quantized with its eo_hybrid_row, whose zero point is that of uint8 also
// where the kernel takes signed rows only. Result: float clamp((float)(sum - zero point of the row * sum of the
// column's weights) * (scale of the row * scale[column]) + bias[column]), each operation rounded. Block: int32
// sums[NR]; float scale[NR]; float bias[NR]; weights as above.
typedef eo_gemm_function eo_hybrid_gemm_function;
struct eo_hybrid_gemm_parameters {
    float minimum, maximum;
    size_t block; // of eo_hybrid4_gemm only
};
struct eo_hybrid_row {
    float scale;
    int32_t zero_point;
};
static inline const struct eo_hybrid_row *_Nonnull eo_hybrid_row_of(const struct eo_gemm_tile *_Nonnull tile,
                                                                    size_t row) {
    return (const struct eo_hybrid_row *)((const char *)tile->row_parameters + row * tile->row_parameters_stride);
}
#define EO_HYBRID_GEMM_ROWS(ROW)                                                                                       \
    X86_ROW(ROW, eo_hybrid_gemm_32x32__amx, ISA_AMX, EO_AMX_ROWS, 32)                                                  \
    X86_ROW(ROW, eo_hybrid_gemm_14x32__avx512vnni, ISA_AVX512VNNI, 14, 32)                                             \
    X86_ROW(ROW, eo_hybrid_gemm_12x16__avx512, ISA_AVX512, 12, 16)                                                     \
    X86_ROW(ROW, eo_hybrid_gemm_6x16__avxvnni, ISA_AVXVNNI, 6, 16)                                                     \
    X86_ROW(ROW, eo_hybrid_gemm_6x32__avx2, ISA_AVX2, 6, 32)                                                           \
    ARM_ROW(ROW, eo_hybrid_gemm_10x8__i8mm, ISA_I8MM, 10, 8)                                                           \
    ARM_ROW(ROW, eo_hybrid_gemm_12x8__neondot, ISA_NEONDOT, 12, 8)                                                     \
    ARM_ROW(ROW, eo_hybrid_gemm_8x8__neon, ISA_NEON, 8, 8)                                                             \
    ROW(eo_hybrid_gemm_4x8__scalar, ISA_SCALAR, 4, 8)
KERNEL_FAMILY(eo_hybrid_gemm)

// `pieces`: as for eo_u8_gemm.
size_t eo_hybrid_gemm_packed_size(const eo_hybrid_gemm_kernel *_Nonnull kernel, size_t depth, size_t columns,
                                  size_t pieces);
// `weights`: int8 [columns][depth]; scale, bias: [columns].
void eo_hybrid_gemm_pack(const eo_hybrid_gemm_kernel *_Nonnull kernel, size_t depth, size_t columns,
                         const uint8_t *_Nonnull weights, const float *_Nonnull scale, const float *_Nullable bias,
                         void *_Nonnull packed);
// The same for activations that all have the zero point of `weights`: with eo_hybrid_one_grid for all rows the result
// is f of eo_u8_gemm, before it is limited and rounded.
void eo_hybrid_gemm_pack_one_grid(const eo_hybrid_gemm_kernel *_Nonnull kernel,
                                  const struct eo_u8_gemm_weights *_Nonnull weights, void *_Nonnull packed);
static inline struct eo_hybrid_row eo_hybrid_one_grid(enum kernels_isa isa) {
    return (struct eo_hybrid_row){1, eo_gemm_takes_unsigned_rows(isa) ? 1 : 129};
}

// The same with weights of four bits, two in a byte, and a float16 scale for each column of each `block` of depth. The
// total of a column is the sum over the blocks, in order, of (float)sum * block scale, - zero point of the row * zero
// sum; the result clamp(total * (scale of the row * scale[column]) + bias[column]), each operation rounded. `depth` and
// `block` are multiples of 8, the last block may be shorter. Block of columns: float zero_sums[NR], those of weights
// times their block's scale; float scale[NR]; float bias[NR]; for each block of depth weights [depth / 8][NR][4], the
// upper half of a byte 4 deeper than the lower one, and float16 block_scale[NR]. Weights count 16 times, which `scale`
// takes back. Kernels whose rows are signed round the zero point's part otherwise; all others give the same bits.
typedef eo_gemm_function eo_hybrid4_gemm_function;
enum { EO_HYBRID4_BLOCK = 256, EO_HYBRID4_STEP = 8 }; // the largest block; what all are multiples of
#define EO_HYBRID4_GEMM_ROWS(ROW)                                                                                      \
    X86_ROW(ROW, eo_hybrid4_gemm_28x32__avx512vnni, ISA_AVX512VNNI, 28, 32)                                            \
    X86_ROW(ROW, eo_hybrid4_gemm_12x16__avxvnni, ISA_AVXVNNI, 12, 16)                                                  \
    X86_ROW(ROW, eo_hybrid4_gemm_12x32__avx2, ISA_AVX2, 12, 32)                                                        \
    ARM_ROW(ROW, eo_hybrid4_gemm_24x8__neondot, ISA_NEONDOT, 24, 8)                                                    \
    ARM_ROW(ROW, eo_hybrid4_gemm_16x8__neon, ISA_NEON, 16, 8)                                                          \
    ROW(eo_hybrid4_gemm_4x8__scalar, ISA_SCALAR, 4, 8)
KERNEL_FAMILY(eo_hybrid4_gemm)

// Weights as the file has them.
struct eo_hybrid4_gemm_weights {
    size_t depth, columns;           // depth: before filling up
    const uint8_t *_Nonnull weights; // int4 or int2 [first + columns][depth], without gaps
    size_t first;
    int bits;                                    // 4 or 2
    size_t block;                                // of the kernel
    const float *_Nonnull scale, *_Nonnull bias; // [columns]
    const uint16_t *_Nonnull block_scale;        // float16 [columns][scales]
    size_t scales, scale_block; // of each column; how deep one goes, a multiple of `block` if there are more
};
float eo_half(uint16_t half); // finite float16 as float
size_t eo_hybrid4_gemm_packed_size(int nr, size_t depth, size_t columns, size_t block);
void eo_hybrid4_gemm_pack(const eo_hybrid4_gemm_kernel *_Nonnull kernel,
                          const struct eo_hybrid4_gemm_weights *_Nonnull weights, void *_Nonnull packed);

// ------------------------------------------------------------------------------------------------- 16 bits to 16 bits

// Rows of int16 activations times int8 weights, summed exactly in 64 bits; `depth` is even, filled up with zeros.
// Result: f = (float)(sum + bias[column]) * scale[column]; f = min(max(f, minimum), maximum); int16 of
// rint_ties_even(f) + output zero point. Block: int64 bias[NR]; float scale[NR]; int8 weights[depth / 2][NR][2].
//
// Tiles multiply bytes: their kernels take rows in halves (eo_gather_split), the lower bytes input_stride / 2 behind
// the upper ones, the depth filled up to a multiple of 4, and weights in groups of 4 and steps of 64 as above. Products
// of both halves are summed in 32 bits, which EO_S16_TILE_DEPTH of 255 * -128 fit.
typedef eo_gemm_function eo_s16_gemm_function;
struct eo_s16_parameters {
    float minimum, maximum; // relative to the output's zero point
    int32_t output_zero_point;
    bool sums_fit_32; // and scales are below 1; false is always right
    bool leaves_f;    // results are f as it is, float; `sums_fit_32` is false then
};
// A product has at most 22 bits and a sign, so this many of them fit 32 bits.
enum { EO_S16_PARTIAL_DEPTH = 256, EO_S16_TILE_DEPTH = 65536 };
static inline bool eo_gemm_takes_split_rows(enum kernels_isa isa) { return isa == ISA_AMX; }
static inline size_t eo_s16_depth_step(enum kernels_isa isa) { return isa == ISA_AMX ? 4 : 2; }
#define EO_S16_GEMM_ROWS(ROW)                                                                                          \
    X86_ROW(ROW, eo_s16_gemm_16x32__amx, ISA_AMX, EO_AMX_ROWS, 32)                                                     \
    X86_ROW(ROW, eo_s16_gemm_12x32__avx512vnni, ISA_AVX512VNNI, 12, 32)                                                \
    X86_ROW(ROW, eo_s16_gemm_12x32__avx512, ISA_AVX512, 12, 32)                                                        \
    X86_ROW(ROW, eo_s16_gemm_6x16__avx2, ISA_AVX2, 6, 16)                                                              \
    ARM_ROW(ROW, eo_s16_gemm_12x8__neon, ISA_NEON, 12, 8)                                                              \
    ROW(eo_s16_gemm_4x8__scalar, ISA_SCALAR, 4, 8)
KERNEL_FAMILY(eo_s16_gemm)

// The best kernel for products of this depth.
const eo_s16_gemm_kernel *_Nonnull eo_s16_gemm_for(size_t depth);
size_t eo_s16_gemm_packed_size(const eo_s16_gemm_kernel *_Nonnull kernel, size_t depth, size_t columns);
// `weights`: int8 [columns][depth]; scale, bias: [columns].
void eo_s16_gemm_pack(const eo_s16_gemm_kernel *_Nonnull kernel, size_t depth, size_t columns,
                      const uint8_t *_Nonnull weights, const float *_Nonnull scale, const int64_t *_Nonnull bias,
                      void *_Nonnull packed);
// Whether no sum, bias included, leaves 32 bits, whatever the activations.
bool eo_s16_sums_fit_32(size_t depth, size_t columns, const uint8_t *_Nonnull weights, const int64_t *_Nonnull bias);

#define KERNEL_ROW(function, ...) eo_gemm_function function;
EO_F32_GEMM_ROWS(KERNEL_ROW)
EO_F32_SPARSE_ROWS(KERNEL_ROW)
EO_BF16_GEMM_ROWS(KERNEL_ROW)
EO_BF16X3_GEMM_ROWS(KERNEL_ROW)
EO_U8_GEMM_ROWS(KERNEL_ROW)
EO_HYBRID_GEMM_ROWS(KERNEL_ROW)
EO_HYBRID4_GEMM_ROWS(KERNEL_ROW)
EO_S16_GEMM_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_f32_to_bf16_function function;
EO_F32_TO_BF16_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_bf16_to_f32_function function;
EO_BF16_TO_F32_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_f32_outer_function function;
EO_F32_OUTER_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_bf16_pairs_function function;
EO_BF16_PAIRS_ROWS(KERNEL_ROW)
EO_BF16_ROWS_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_bf16x3_split_function function;
EO_BF16X3_SPLIT_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_bf16_split_function function;
EO_BF16_SPLIT_ROWS(KERNEL_ROW)
#undef KERNEL_ROW
#define KERNEL_ROW(function, ...) eo_bf16_tiles_function function;
EO_BF16_TILES_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

#pragma GCC visibility pop
#endif
