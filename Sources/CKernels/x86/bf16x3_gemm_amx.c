#if defined(__x86_64__)
// Six products of parts for each step in depth, on tile registers; see gemm.h. The sums of a block of two tiles of rows
// and NR columns stay in four registers while the depth passes by.
#include "gemm.h"

#include <immintrin.h>

#define TARGET __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi2")))
#define SIMD static inline __attribute__((always_inline)) TARGET

// Registers: sums 0 1 over 2 3, rows 4 over 5, weights 6 7.
enum { SIDE = EO_BF16X3_SIDE, LINE = EO_BF16X3_LINE, TILE = EO_BF16X3_TILE, STEP_SIZE = EO_BF16X3_PARTS * TILE };
enum { NR = 2 * SIDE };

struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// Whoever configures the tiles releases them before it returns, so the host's threads never carry tile state.
SIMD void tiles_configure(size_t height) {
    struct tile_configuration c = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        c.rows[tile] = (uint8_t)(tile < 6 ? height : SIDE);
        c.row_bytes[tile] = LINE;
    }
    _tile_loadconfig(&c);
}

// The tiles are named by constants. Without `right` there are at most 16 columns.
#define MULTIPLY(sum, a, b)                                                                                            \
    if (right || sum % 2 == 0) _tile_dpbf16ps(sum, a, b)

#define LOAD_WEIGHTS(part)                                                                                             \
    do {                                                                                                               \
        _tile_loadd(6, weights + 2 * part * TILE, LINE);                                                               \
        if (right) _tile_loadd(7, weights + (2 * part + 1) * TILE, LINE);                                              \
    } while (0)

#define MULTIPLY_BY_ROWS(part)                                                                                         \
    do {                                                                                                               \
        _tile_loadd(4, upper + part * TILE, LINE);                                                                     \
        MULTIPLY(0, 4, 6);                                                                                             \
        MULTIPLY(1, 4, 7);                                                                                             \
        _tile_loadd(5, lower + part * TILE, LINE);                                                                     \
        MULTIPLY(2, 5, 6);                                                                                             \
        MULTIPLY(3, 5, 7);                                                                                             \
    } while (0)

#define MULTIPLY_BY_WEIGHTS(part)                                                                                      \
    do {                                                                                                               \
        LOAD_WEIGHTS(part);                                                                                            \
        MULTIPLY(0, 4, 6);                                                                                             \
        MULTIPLY(2, 5, 6);                                                                                             \
        MULTIPLY(1, 4, 7);                                                                                             \
        MULTIPLY(3, 5, 7);                                                                                             \
    } while (0)

// Weights to be brought into the second-level cache, some lines with each step.
struct ahead {
    const char *at;
    size_t lines;
};

// Each part of the rows is loaded once, each of the weights once or twice.
SIMD void multiply(const int right, size_t steps, const char *upper, const char *lower, const char *weights,
                   struct ahead *ahead) {
    for (; steps > 0; steps--, upper += STEP_SIZE, lower += STEP_SIZE, weights += 2 * STEP_SIZE) {
        for (size_t i = 0; i < ahead->lines; i++, ahead->at += LINE) _mm_prefetch(ahead->at, _MM_HINT_T1);
        LOAD_WEIGHTS(2);
        MULTIPLY_BY_ROWS(0);
        MULTIPLY_BY_WEIGHTS(1);
        MULTIPLY_BY_WEIGHTS(0);
        MULTIPLY_BY_ROWS(2);
        MULTIPLY_BY_ROWS(1);
        MULTIPLY_BY_WEIGHTS(1);
    }
}

// Sums begin with the bias, the same row for all.
SIMD void begin(const char *bias) {
    _tile_loadd(0, bias, 0);
    _tile_loadd(1, bias + LINE, 0);
    _tile_loadd(2, bias, 0);
    _tile_loadd(3, bias + LINE, 0);
}

// The sums of a block on their way to the output.
struct leaving {
    _Alignas(64) float sums[2 * SIDE][NR];
    char *output;
    size_t rows;
    uint32_t columns; // a mask
};

SIMD void store_sums(struct leaving *l, size_t height) {
    _tile_stored(0, l->sums[0], sizeof *l->sums);
    _tile_stored(1, l->sums[0] + SIDE, sizeof *l->sums);
    _tile_stored(2, l->sums[height], sizeof *l->sums);
    _tile_stored(3, l->sums[height] + SIDE, sizeof *l->sums);
}

SIMD void leave(struct leaving *l, const struct eo_gemm_tile *t) {
    const struct eo_f32_gemm_parameters *p = t->parameters;
    const __m512 low = _mm512_set1_ps(p->minimum), high = _mm512_set1_ps(p->maximum);
    for (size_t i = 0; i < l->rows; i++, l->output += t->output_stride)
        for (int half = 0; half < 2; half++) {
            const __m512 x = _mm512_min_ps(_mm512_max_ps(_mm512_load_ps(l->sums[i] + half * SIDE), low), high);
            _mm512_mask_storeu_ps(l->output + half * LINE, (__mmask16)(l->columns >> half * SIDE), x);
        }
}

TARGET void eo_bf16x3_gemm_32x32__amx(const struct eo_gemm_tile *t) {
    const size_t steps = (t->depth + EO_BF16X3_STEP - 1) / EO_BF16X3_STEP, height = eo_bf16x3_height(t->rows);
    const size_t below = SIDE * t->input_stride, turns = (t->rows + 2 * height - 1) / (2 * height);
    const size_t size = eo_bf16x3_gemm_packed_size(t->depth, 1);
    const char *block = t->weights;
    struct ahead ahead = {block, (2 * STEP_SIZE / LINE + turns - 1) / turns};
    struct leaving leaving;
    leaving.rows = 0;
    tiles_configure(height);
    for (size_t column = 0; column < t->columns; column += NR, block += size) {
        const size_t columns = t->columns - column < NR ? t->columns - column : NR;
        const char *rows = t->input, *weights = block + NR * sizeof(float);
        ahead.at = block + size;
        for (size_t row = 0; row < t->rows; row += 2 * height, rows += 2 * below) {
            if (leaving.rows > 0) store_sums(&leaving, height);
            begin(block);
            if (columns > SIDE)
                multiply(1, steps, rows, rows + below, weights, &ahead);
            else
                multiply(0, steps, rows, rows + below, weights, &ahead);
            // While these products are under way.
            leave(&leaving, t);
            leaving.output = (char *)t->output + row * t->output_stride + column * sizeof(float);
            leaving.rows = t->rows - row < 2 * height ? t->rows - row : 2 * height;
            leaving.columns = _bzhi_u32(~0u, (unsigned)columns);
        }
    }
    store_sums(&leaving, height);
    _tile_release();
    leave(&leaving, t);
}
#endif
