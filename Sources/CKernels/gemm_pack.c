#include "copy.h"
#include "gemm.h"

#include <stdlib.h>
#include <string.h>

static size_t blocks(int nr, size_t columns) { return (columns + nr - 1) / nr; }

size_t eo_f32_gemm_packed_size(int nr, size_t depth, size_t columns) {
    return blocks(nr, columns) * nr * (1 + depth) * sizeof(float);
}

// Words [depth][nr] of the rows of `from` (`depth` words, `pitch` bytes apart), zeros for columns from `count` on.
static void pack_words(int nr, size_t depth, size_t count, size_t pitch, const char *from, uint32_t *to) {
    const size_t row = nr * sizeof *to;
    eo_transpose(sizeof *to, count, depth, from, (ptrdiff_t)pitch, to, (ptrdiff_t)row);
    for (size_t k = 0; count < (size_t)nr && k < depth; k++) memset(to + k * nr + count, 0, row - count * sizeof *to);
}

void eo_f32_gemm_pack(int nr, size_t depth, size_t columns, const void *weights, const void *bias, void *packed) {
    eo_f32_gemm_pack_rows(nr, depth, columns, depth, weights, bias, packed);
}

void eo_f32_gemm_pack_rows(int nr, size_t depth, size_t columns, size_t stride, const void *weights, const void *bias,
                           void *packed) {
    const size_t pitch = stride * sizeof(float);
    float *block = packed;
    for (size_t first = 0; first < columns; first += nr, block += (1 + depth) * nr) {
        const size_t count = columns - first < (size_t)nr ? columns - first : (size_t)nr;
        memset(block, 0, nr * sizeof(float));
        if (bias) memcpy(block, (const char *)bias + first * sizeof(float), count * sizeof(float));
        pack_words(nr, depth, count, pitch, (const char *)weights + first * pitch, (uint32_t *)(block + nr));
    }
}

// A block's weights lie at its end as floats, and become parts from its beginning on: a step of them is read before its
// parts, which take half as much again, are written.
void eo_bf16x3_gemm_pack(size_t depth, size_t columns, const void *weights, const void *bias, void *packed) {
    enum { NR = 32, HEAD = NR * sizeof(float), STEP = EO_BF16X3_STEP };
    const size_t size = eo_bf16x3_gemm_packed_size(depth, 1), floats_size = (1 + depth) * HEAD;
    eo_bf16x3_split_function *split = eo_bf16x3_split_best()->run;
    char *block = packed;
    for (size_t first = 0; first < columns; first += NR, block += size) {
        const char *floats = block + size - floats_size;
        eo_f32_gemm_pack(NR, depth, columns - first < NR ? columns - first : NR,
                         (const char *)weights + first * depth * sizeof(float),
                         bias ? (const char *)bias + first * sizeof(float) : NULL, (void *)floats);
        memmove(block, floats, HEAD);
        floats += HEAD;
        for (size_t k = 0; k < depth; k += STEP, floats += STEP * HEAD) {
            const size_t count = depth - k < STEP ? depth - k : STEP;
            float step[STEP][NR] = {{0}};
            memcpy(step, floats, count * HEAD);
            split(step[0], block + HEAD + k / STEP * 2 * EO_BF16X3_PARTS * EO_BF16X3_TILE);
        }
    }
}

void eo_f32_gemm_pack_transposed(int nr, size_t depth, size_t columns, size_t stride, const float *weights,
                                 void *packed) {
    float *block = packed;
    for (size_t first = 0; first < columns; first += nr, block += (1 + depth) * nr) {
        const size_t count = columns - first < (size_t)nr ? columns - first : (size_t)nr;
        memset(block, 0, nr * sizeof(float));
        for (size_t k = 0; k < depth; k++) {
            memcpy(block + (1 + k) * nr, weights + k * stride + first, count * sizeof(float));
            memset(block + (1 + k) * nr + count, 0, (nr - count) * sizeof(float));
        }
    }
}

void eo_f32_gemm_pack_block(int nr, const struct eo_strided_weights *w, size_t first, float *block) {
    const size_t count = w->columns - first < (size_t)nr ? w->columns - first : (size_t)nr;
    memset(block, 0, nr * sizeof *block);
    if (w->bias) memcpy(block, w->bias + first, count * sizeof *block);
    for (size_t t = 0; t < w->taps; t++) {
        const float *from = w->weights + w->tap[t] + first * w->column_stride;
        for (size_t c = 0; c < w->channels; c++, from += w->depth_stride) {
            block += nr;
            if (w->column_stride == 1)
                memcpy(block, from, count * sizeof *block);
            else
                for (size_t j = 0; j < count; j++) block[j] = from[j * w->column_stride];
            memset(block + count, 0, (nr - count) * sizeof *block);
        }
    }
}

static size_t round_up(size_t depth, size_t multiple) { return (depth + multiple - 1) / multiple * multiple; }

// int8 weights[(end - begin) / kr][nr][kr] of the columns from `first` on, which lie `pitch` bytes apart, zeros beyond
// the matrix.
static void pack_groups(size_t kr, int nr, size_t depth, size_t pitch, size_t columns, size_t first, size_t begin,
                        size_t end, const uint8_t *weights, uint8_t flip, uint8_t *to) {
    const size_t left = first < columns ? columns - first : 0, count = left < (size_t)nr ? left : (size_t)nr;
    const uint8_t *from = weights + first * pitch;
    size_t whole = begin;
    if (kr == 4) {
        whole += ((end < depth ? end : depth) - begin) / 4 * 4;
        pack_words(nr, (whole - begin) / 4, count, pitch, (const char *)from + begin, (uint32_t *)to);
        if (flip)
            for (size_t group = 0; group < whole - begin; group += 4)
                for (size_t i = 0; i < count * 4; i++) to[group * nr + i] ^= flip;
        to += (whole - begin) * nr;
    }
    for (size_t group = whole; group < end; group += kr)
        for (size_t j = 0; j < (size_t)nr; j++)
            for (size_t k = group; k < group + kr; k++) *to++ = j < count && k < depth ? from[j * pitch + k] ^ flip : 0;
}

// Depth as a kernel's blocks of weights have it.
static size_t packed_depth(enum kernels_isa isa, size_t depth) {
    return round_up(depth, isa == ISA_AMX && depth > 64 ? 64 : eo_gemm_depth_step(isa));
}

// For tiles: each of a row's pieces, filled up to a multiple of 4, is read in steps of 64 bytes, the last ending with
// the piece. A step has two tiles of 16 columns.
static void pack_steps(size_t depth, size_t pieces, size_t columns, size_t first, const uint8_t *weights, uint8_t flip,
                       uint8_t *to) {
    const size_t own = depth / pieces, piece = round_up(own, 4), step = piece < 64 ? piece : 64;
    for (; pieces > 0; pieces--, weights += own)
        for (size_t k = 0; k < piece; k += step) {
            const size_t skipped = k + step > piece ? k + step - piece : 0;
            const size_t end = k + step - skipped;
            for (size_t half = 0; half < 2; half++, to += 16 * step) {
                memset(to, 0, 16 * skipped);
                pack_groups(4, 16, own, depth, columns, first + 16 * half, k, end, weights, flip, to + 16 * skipped);
            }
        }
}

static void pack_bytes(enum kernels_isa isa, int nr, size_t depth, size_t pieces, size_t columns, size_t first,
                       const uint8_t *weights, uint8_t flip, uint8_t *to) {
    if (isa == ISA_AMX)
        pack_steps(depth, pieces, columns, first, weights, flip, to);
    else
        pack_groups(eo_gemm_depth_step(isa), nr, depth, depth, columns, first, 0, depth, weights, flip, to);
}

static int32_t column_sum(const uint8_t *column, size_t depth, uint8_t flip) {
    uint32_t sum = 0;
    for (size_t k = 0; k < depth; k++) sum += (uint32_t)(int8_t)(column[k] ^ flip);
    return (int32_t)sum;
}

size_t eo_u8_gemm_packed_size(const eo_u8_gemm_kernel *kernel, size_t depth, size_t columns, size_t pieces) {
    const size_t filled = pieces * packed_depth(kernel->isa, depth / pieces);
    return blocks(kernel->nr, columns) * kernel->nr * (2 * sizeof(float) + filled);
}

// sum (a - za)(w - zw) = sum a w - za sum w - zw sum a + depth za zw: all but the product and the sum of the row is
// constant and goes into the bias, modulo 2^32.
void eo_u8_gemm_pack(const eo_u8_gemm_kernel *kernel, const struct eo_u8_gemm_weights *w, void *packed) {
    char *block = packed;
    const int nr = kernel->nr;
    const size_t size = eo_u8_gemm_packed_size(kernel, w->depth, 1, w->pieces);
    const uint32_t za = (uint32_t)w->input_zero_point, zw = (uint32_t)w->weight_zero_point;
    for (size_t first = 0; first < w->columns; first += nr, block += size) {
        int32_t *bias = (int32_t *)block;
        float *scale = (float *)(bias + nr);
        for (int j = 0; j < nr; j++) {
            const size_t column = first + j;
            const bool inside = column < w->columns;
            const uint32_t sum = inside ? (uint32_t)column_sum(w->weights + column * w->depth, w->depth, w->flip) : 0;
            const uint32_t given = inside && w->bias ? (uint32_t)w->bias[column] : 0;
            bias[j] = (int32_t)(given - za * sum + (uint32_t)w->depth * za * zw);
            scale[j] = inside ? w->scale[column] : 0;
        }
        pack_bytes(kernel->isa, nr, w->depth, w->pieces, w->columns, first, w->weights, w->flip,
                   (uint8_t *)(scale + nr));
    }
}

size_t eo_hybrid_gemm_packed_size(const eo_hybrid_gemm_kernel *kernel, size_t depth, size_t columns, size_t pieces) {
    const size_t filled = pieces * packed_depth(kernel->isa, depth / pieces);
    return blocks(kernel->nr, columns) * kernel->nr * (3 * sizeof(float) + filled);
}

void eo_hybrid_gemm_pack(const eo_hybrid_gemm_kernel *kernel, size_t depth, size_t columns, const uint8_t *weights,
                         const float *scale, const float *bias, void *packed) {
    char *block = packed;
    const int nr = kernel->nr;
    for (size_t first = 0; first < columns; first += nr, block += eo_hybrid_gemm_packed_size(kernel, depth, 1, 1)) {
        int32_t *sums = (int32_t *)block;
        float *scales = (float *)(sums + nr), *biases = scales + nr;
        for (int j = 0; j < nr; j++) {
            const size_t column = first + j;
            const bool inside = column < columns;
            sums[j] = inside ? column_sum(weights + column * depth, depth, 0) : 0;
            scales[j] = inside ? scale[column] : 0;
            biases[j] = inside && bias ? bias[column] : 0;
        }
        pack_bytes(kernel->isa, nr, depth, 1, columns, first, weights, 0, (uint8_t *)(biases + nr));
    }
}

void eo_hybrid_gemm_pack_one_grid(const eo_hybrid_gemm_kernel *kernel, const struct eo_u8_gemm_weights *w,
                                  void *packed) {
    char *block = packed;
    const int nr = kernel->nr;
    const size_t size = eo_hybrid_gemm_packed_size(kernel, w->depth, 1, w->pieces);
    for (size_t first = 0; first < w->columns; first += nr, block += size) {
        // What is taken off the sums once for each unit of a row's zero point.
        int32_t *taken = (int32_t *)block;
        float *scales = (float *)(taken + nr), *biases = scales + nr;
        for (int j = 0; j < nr; j++) {
            const size_t column = first + j;
            const bool inside = column < w->columns;
            const uint32_t sum = inside ? (uint32_t)column_sum(w->weights + column * w->depth, w->depth, w->flip) : 0;
            taken[j] =
                (int32_t)((uint32_t)w->input_zero_point * sum - (inside && w->bias ? (uint32_t)w->bias[column] : 0));
            scales[j] = inside ? w->scale[column] : 0;
            biases[j] = 0;
        }
        pack_bytes(kernel->isa, nr, w->depth, w->pieces, w->columns, first, w->weights, w->flip,
                   (uint8_t *)(biases + nr));
    }
}

const eo_s16_gemm_kernel *eo_s16_gemm_for(size_t depth) {
    const eo_s16_gemm_kernel *kernel = eo_s16_gemm_best();
    while (depth > EO_S16_TILE_DEPTH && (kernel->isa == ISA_AMX || !kernels_isa_available(kernel->isa))) kernel++;
    return kernel;
}

size_t eo_s16_gemm_packed_size(const eo_s16_gemm_kernel *kernel, size_t depth, size_t columns) {
    const size_t filled = kernel->isa == ISA_AMX ? packed_depth(ISA_AMX, depth) : round_up(depth, 2);
    return blocks(kernel->nr, columns) * kernel->nr * (sizeof(int64_t) + sizeof(float) + filled);
}

void eo_s16_gemm_pack(const eo_s16_gemm_kernel *kernel, size_t depth, size_t columns, const uint8_t *weights,
                      const float *scale, const int64_t *bias, void *packed) {
    char *block = packed;
    const int nr = kernel->nr;
    for (size_t first = 0; first < columns; first += nr, block += eo_s16_gemm_packed_size(kernel, depth, 1)) {
        int64_t *biases = (int64_t *)block;
        float *scales = (float *)(biases + nr);
        for (int j = 0; j < nr; j++) {
            biases[j] = first + j < columns ? bias[first + j] : 0;
            scales[j] = first + j < columns ? scale[first + j] : 0;
        }
        if (kernel->isa == ISA_AMX)
            pack_bytes(ISA_AMX, nr, depth, 1, columns, first, weights, 0, (uint8_t *)(scales + nr));
        else
            pack_groups(2, nr, depth, depth, columns, first, 0, depth, weights, 0, (uint8_t *)(scales + nr));
    }
}

bool eo_s16_sums_fit_32(size_t depth, size_t columns, const uint8_t *weights, const int64_t *bias) {
    for (size_t column = 0; column < columns; column++, weights += depth) {
        uint64_t sum = 0;
        for (size_t k = 0; k < depth; k++) sum += (uint64_t)abs((int8_t)weights[k]);
        const uint64_t size = bias[column] < 0 ? 0 - (uint64_t)bias[column] : (uint64_t)bias[column];
        if (size > INT32_MAX || sum > INT32_MAX / 32768 || sum * 32768 + size > INT32_MAX) return false;
    }
    return true;
}

size_t eo_bf16_gemm_packed_size(const eo_bf16_gemm_kernel *kernel, size_t depth, size_t pieces) {
    if (pieces == 0) return kernel->nr * (sizeof(float) + eo_bf16_row_size(depth));
    return kernel->nr * (sizeof(float) + pieces * packed_depth(kernel->isa, 2 * depth / pieces));
}

// Numbers k and k + 1 of a row, for `nr` columns, as pairs; numbers below `from` and from `end` on are zero. Weights of
// a file may lie anywhere, hence bytes.
static void pack_pair(size_t nr, const struct eo_strided_weights *w, size_t first, size_t k, size_t from, size_t end,
                      uint32_t *pairs) {
    enum { MOST = 32 };
    float x[2 * MOST] = {0};
    const size_t count = w->columns - first < nr ? w->columns - first : nr;
    for (size_t i = 0; i < 2; i++) {
        if (k + i < from || k + i >= end) continue;
        const size_t at = w->tap[(k + i) / w->channels] + (k + i) % w->channels * w->depth_stride;
        const char *source = (const char *)w->weights + 4 * (at + first * w->column_stride);
#pragma clang loop vectorize(disable) unroll(disable)
        for (size_t j = 0; j < count; j++) memcpy(x + 2 * j + i, source + 4 * j * w->column_stride, 4);
    }
    eo_f32_to_bf16_best()->run(2 * nr, x, (uint16_t *)pairs);
}

void eo_bf16_gemm_pack_block(const eo_bf16_gemm_kernel *kernel, size_t pieces, const struct eo_strided_weights *w,
                             size_t first, void *block) {
    const size_t nr = kernel->nr, depth = w->taps * w->channels, own = pieces > 0 ? depth / pieces : EO_BF16X3_STEP;
    const size_t piece = round_up(own, 2);
    const size_t count = w->columns - first < nr ? w->columns - first : nr;
    // A step has a part for each tile's columns.
    const size_t tile = kernel->isa == ISA_AMX ? 16 : nr, step = kernel->isa == ISA_AMX && piece > 32 ? 32 : piece;
    uint32_t *to = (uint32_t *)((float *)block + nr), pairs[32];
    memset(block, 0, nr * sizeof(float));
    if (w->bias) memcpy(block, (const char *)w->bias + 4 * first, count * sizeof(float));
    for (size_t begin = 0; begin < depth; begin += own)
        for (size_t k = 0; k < piece; k += step, to += step / 2 * nr) {
            // The last step ends with the piece.
            const size_t at = begin + (k + step > piece ? piece - step : k);
            for (size_t pair = 0; pair < step / 2; pair++) {
                pack_pair(nr, w, first, at + 2 * pair, begin + k, depth - begin < own ? depth : begin + own, pairs);
                for (size_t j = 0; j < nr; j += tile)
                    memcpy(to + (j / tile * step / 2 + pair) * tile, pairs + j, tile * sizeof *to);
            }
        }
}

void eo_bf16_gemm_pack(const eo_bf16_gemm_kernel *kernel, size_t depth, size_t pieces, size_t columns,
                       const void *weights, const void *bias, void *packed) {
    static const size_t tap[1];
    const struct eo_strided_weights w = {weights, tap, 1, depth, columns, 1, depth, bias};
    const size_t size = eo_bf16_gemm_packed_size(kernel, depth, pieces);
    for (size_t first = 0; first < columns; first += kernel->nr, packed = (char *)packed + size)
        eo_bf16_gemm_pack_block(kernel, pieces, &w, first, packed);
}

bool eo_renew(void *copy, const void *source, size_t size) {
    if (memcmp(copy, source, size) == 0) return false;
    memcpy(copy, source, size);
    return true;
}
