// Body of 8-bit Winograd convolutions over an integer vocabulary and these words, over VECTORS of 8 lanes in a block of
// columns and ROWS of tiles that are multiplied together:
//   words                          a vector of uint16_t, with + - <<
//   words_of_bytes(p, part, flip)  16 bytes, or `part`, flipped and widened
//   weights_of_bytes(p)            16 signed bytes, widened
#include "u8_requantize.h"
#include "u8_winograd.h"

enum { M = EO_U8_WINOGRAD_TILE, SIDE = 6, ELEMENTS = EO_U8_WINOGRAD_ELEMENTS, COLUMNS = EO_U8_WINOGRAD_CHANNELS };

// Modulo 2^32, like all arithmetic here but the last shift.
typedef uint32_t sums __attribute__((vector_size(sizeof(ivec))));
typedef int32_t signed_sums __attribute__((vector_size(sizeof(ivec))));

SIMD void transform_in(const words *d, words *to) {
    const words even = d[4] - (d[2] << 2), odd = d[3] - (d[1] << 2);
    const words near = d[4] - d[2], far = (d[3] - d[1]) << 1;
    to[0] = even + (d[0] << 2) - d[2];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = near + far;
    to[4] = near - far;
    to[5] = d[5] - d[3] - (far << 1);
}

// By rows of G times 24, of which those of 1 and -1 have the other sign and the last one is half as large.
SIMD void transform_weights(const words *g, words *to) {
    const words outer = (g[0] + g[2]) << 2, inner = g[1] << 2;
    const words square = g[0] + (g[2] << 2), twice = g[1] << 1;
    to[0] = (g[0] << 2) + (g[0] << 1);
    to[1] = outer + inner;
    to[2] = outer - inner;
    to[3] = square + twice;
    to[4] = square - twice;
    to[5] = (g[2] << 3) + (g[2] << 2);
}

SIMD void transform_out(const sums *d, sums *to) {
    const sums sum_1 = d[1] + d[2], sum_2 = d[3] + d[4];
    const sums difference_1 = d[2] - d[1], difference_2 = (d[3] - d[4]) << 1;
    to[0] = d[0] - sum_1 + sum_2;
    to[1] = difference_1 + difference_2;
    to[2] = (sum_2 << 2) - sum_1;
    to[3] = difference_1 + (difference_2 << 2) + (d[5] << 1);
}

// 16 channels of a tile whose pixels are at `pixel`, or so many.
SIMD void input_tile(const struct eo_u8_winograd_unit *u, const uint8_t *const *pixel, size_t channel, size_t part,
                     int16_t *to, size_t step) {
    words half[SIDE][SIDE], column[SIDE], line[SIDE];
#pragma clang loop unroll(disable)
    for (int x = 0; x < SIDE; x++) {
#pragma clang loop unroll(full)
        for (int y = 0; y < SIDE; y++) column[y] = words_of_bytes(pixel[y * SIDE + x] + channel, part, u->flip);
        transform_in(column, line);
#pragma clang loop unroll(full)
        for (int y = 0; y < SIDE; y++) half[y][x] = line[y];
    }
#pragma clang loop unroll(disable)
    for (int y = 0; y < SIDE; y++) {
        transform_in(half[y], line);
#pragma clang loop unroll(full)
        for (int x = 0; x < SIDE; x++, to += step) __builtin_memcpy(to, &line[x], sizeof line[x]);
    }
}

struct place {
    size_t image, y, x; // of the first output pixel
};

SIMD struct place place_of(const struct eo_window *w, size_t tile) {
    const size_t across = (w->output_width + M - 1) / M, down = (w->output_height + M - 1) / M;
    return (struct place){tile / across / down, tile / across % down * M, tile % across * M};
}

// to[element][tile][channels], elements `apart`.
SIMD void transform_inputs(const struct eo_u8_winograd_unit *u, size_t channels, size_t apart, int16_t *to) {
    const struct eo_window *w = u->window;
    uint8_t outside[COLUMNS];
    __builtin_memset(outside, u->padding ^ u->flip, sizeof outside);
    for (size_t tile = 0; tile < u->tiles; tile++, to += channels) {
        const struct place at = place_of(w, u->first + tile);
        const uint8_t *pixel[ELEMENTS];
        size_t step[ELEMENTS];
        for (size_t e = 0; e < ELEMENTS; e++) {
            const size_t y = at.y + e / SIDE - w->padding_top, x = at.x + e % SIDE - w->padding_left;
            // Negative ones are very large.
            const bool inside = y < w->input_height && x < w->input_width;
            const size_t place = ((at.image * w->input_height + y) * w->input_width + x) * w->input_channels;
            pixel[e] = inside ? u->input + place : outside;
            step[e] = inside ? COLUMNS : 0;
        }
        for (size_t channel = 0; channel < channels; channel += COLUMNS) {
            const size_t left = w->input_channels - channel;
            input_tile(u, pixel, 0, left < COLUMNS ? left : 0, to + channel, apart);
            for (int e = 0; e < ELEMENTS; e++) pixel[e] += step[e];
        }
    }
}

// A block's weights, to[element][pair of channels][column][2], elements `apart`.
static TARGET void transform_block(const int8_t *w, size_t channels, size_t apart, int16_t *to) {
    enum { VECTOR = sizeof(words) / sizeof(int16_t), TAP = 2 * COLUMNS };
    for (size_t channel = 0; channel < channels; channel += 2, w += 9 * TAP)
#pragma clang loop unroll(disable)
        for (int v = 0; v < TAP; v += VECTOR, to += VECTOR) {
            words half[SIDE][3], column[3], line[SIDE];
#pragma clang loop unroll(full)
            for (int x = 0; x < 3; x++) {
#pragma clang loop unroll(full)
                for (int y = 0; y < 3; y++) column[y] = weights_of_bytes(w + (y * 3 + x) * TAP + v);
                transform_weights(column, line);
#pragma clang loop unroll(full)
                for (int y = 0; y < SIDE; y++) half[y][x] = line[y];
            }
            int16_t *at = to;
#pragma clang loop unroll(disable)
            for (int y = 0; y < SIDE; y++) {
                transform_weights(half[y], line);
#pragma clang loop unroll(full)
                for (int x = 0; x < SIDE; x++, at += apart) __builtin_memcpy(at, &line[x], sizeof line[x]);
            }
        }
}

// The product of an element of all tiles and a block.
struct element {
    size_t depth, stride; // of rows, in numbers
    const int16_t *weights;
};

// to[rows][COLUMNS]: rows of 16-bit numbers times an element's weights. `rows` is a constant where it is called.
SIMD void multiply(const int rows, const struct element *e, const int16_t *row, int32_t *to) {
    ivec sum[ROWS][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) sum[i][j] = ivec_set(0);
    // An address for every third row: none leaves the registers.
    const int16_t *base[2] = {row, row + (rows > 3 ? 3 * e->stride : 0)};
    const size_t stride = e->stride;
    for (const int16_t *w = e->weights, *end = w + e->depth * COLUMNS; w < end; w += 2 * COLUMNS) {
        __asm__("" : "+r"(base[0]), "+r"(base[1]));
        ivec b[VECTORS];
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) b[j] = ivec_load((const int32_t *)w + j * LANES);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            int32_t pair;
            __builtin_memcpy(&pair, base[i / 3] + (size_t)(i % 3) * stride, sizeof pair);
            const ivec a = ivec_set(pair);
#pragma clang loop unroll(full)
            for (int j = 0; j < VECTORS; j++) sum[i][j] = words_dot(sum[i][j], a, b[j]);
        }
        base[0] += 2;
        base[1] += 2;
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) ivec_store(to + i * COLUMNS + j * LANES, sum[i][j]);
}

typedef void multiplication(const struct element *e, const int16_t *row, int32_t *to);
#define MULTIPLY(R)                                                                                                    \
    static TARGET void multiply_##R(const struct element *e, const int16_t *row, int32_t *to) {                        \
        multiply(R, e, row, to);                                                                                       \
    }
UP_TO_6(MULTIPLY)
#define MULTIPLY_NAME(R) multiply_##R,
static multiplication *const multiplications[] = {UP_TO_6(MULTIPLY_NAME)};

// Pixels of a tile, sums[M * M][COLUMNS]. 1 / 9 modulo 2^32 takes back what is odd of 24 * 24.
static TARGET void output_tile(const int32_t *from, size_t step, const int32_t *bias, int32_t *to) {
    const uint32_t ninth = 954437177;
#pragma clang loop unroll(disable)
    for (int j = 0; j < COLUMNS; j += LANES) {
        sums half[M][SIDE], column[SIDE], line[M];
        const sums start = (sums)ivec_load(bias + j);
#pragma clang loop unroll(disable)
        for (int x = 0; x < SIDE; x++) {
#pragma clang loop unroll(full)
            for (int y = 0; y < SIDE; y++) column[y] = (sums)ivec_load(from + (size_t)(y * SIDE + x) * step + j);
            transform_out(column, line);
#pragma clang loop unroll(full)
            for (int y = 0; y < M; y++) half[y][x] = line[y];
        }
#pragma clang loop unroll(disable)
        for (int y = 0; y < M; y++) {
            transform_out(half[y], line);
#pragma clang loop unroll(full)
            for (int x = 0; x < M; x++)
                ivec_store(to + (y * M + x) * COLUMNS + j, (ivec)((sums)((signed_sums)(line[x] * ninth) >> 6) + start));
        }
    }
}

// A tile of a block on its way to the output.
struct results {
    const struct eo_u8_winograd_unit *unit;
    const int32_t *sums; // [M * M][COLUMNS]
    const float *scales; // of the block
    struct place at;
    size_t channel, columns;
};

// `body` for each pixel of a tile inside the image, with its `sums` and the `place` of its first result.
#define EACH_PIXEL(r, body)                                                                                            \
    do {                                                                                                               \
        const struct eo_window *w = (r)->unit->window;                                                                 \
        for (size_t y = 0; y < M && (r)->at.y + y < w->output_height; y++)                                             \
            for (size_t x = 0; x < M && (r)->at.x + x < w->output_width; x++) {                                        \
                const size_t line = (r)->at.image * w->output_height + (r)->at.y + y;                                  \
                const size_t place = (line * w->output_width + (r)->at.x + x) * w->output_channels + (r)->channel;     \
                const int32_t *sums = (r)->sums + (y * M + x) * COLUMNS;                                               \
                body                                                                                                   \
            }                                                                                                          \
    } while (0)

static __attribute__((noinline)) TARGET void leave_bytes(const struct requantization *q, const struct results *r) {
    struct requantized_row rows[M * M + TOGETHER];
    size_t count = 0;
    EACH_PIXEL(r, rows[count++] = ((struct requantized_row){sums, 0, (char *)r->unit->output + place}););
    // The last one may be its own partner.
    rows[count] = rows[count - 1];
    for (size_t i = 0; i < count; i += TOGETHER) requantize_together(1, VECTORS, q, r->scales, r->columns, rows + i);
}

static __attribute__((noinline)) TARGET void leave_floats(const struct results *r) {
    const struct eo_hybrid_gemm_parameters *p = r->unit->parameters;
    const vec low = vec_set(p->minimum), high = vec_set(p->maximum), scale = vec_set(r->unit->grid->scale);
    for (size_t j = 0; j < r->columns; j += LANES) {
        const size_t left = r->columns - j;
        const vec factor = vec_multiply(scale, vec_load(r->scales + j)), bias = vec_load(r->scales + COLUMNS + j);
        EACH_PIXEL(r, {
            const vec sum = vec_multiply(ivec_to_float(ivec_load(sums + j)), factor);
            const vec result = vec_clamp(vec_add(sum, bias), low, high);
            float *const to = (float *)r->unit->output + place + j;
            if (left < LANES)
                vec_store_part(to, result, left);
            else
                vec_store(to, result);
        });
    }
}

SIMD void winograd_unit(const struct eo_u8_winograd_unit *u) {
    enum { WORDS = EO_U8_WINOGRAD_LINE / sizeof(int16_t) };
    const struct eo_window *w = u->window;
    const size_t channels = eo_u8_winograd_channels(w), depth = (w->input_channels + 1) / 2 * 2;
    const size_t input_apart = u->tiles * channels + WORDS, weights_apart = depth * COLUMNS + WORDS;
    const size_t products_apart = u->tiles * COLUMNS + WORDS / 2;
    int16_t *const input = u->scratch, *const weights = input + ELEMENTS * input_apart;
    int32_t *const products = (int32_t *)(weights + ELEMENTS * weights_apart);
    struct requantization q;
    if (!u->grid) q = requantization(u->parameters);
    transform_inputs(u, channels, input_apart, input);
    for (size_t block = u->begin; block < u->end; block++) {
        const int32_t *head = (const int32_t *)(u->weights + block * u->block_size);
        const float *scales = (const float *)(head + COLUMNS);
        transform_block((const int8_t *)(scales + (u->grid ? 2 : 1) * COLUMNS), depth, weights_apart, weights);
        int32_t start[COLUMNS];
        for (int j = 0; j < COLUMNS; j++)
            start[j] = u->grid ? (int32_t)(0 - (uint32_t)u->grid->zero_point * (uint32_t)head[j]) : head[j];
        for (size_t e = 0; e < ELEMENTS; e++) {
            const struct element element = {depth, channels, weights + e * weights_apart};
            for (size_t tile = 0, rows; tile < u->tiles; tile += rows) {
                rows = u->tiles - tile < ROWS ? u->tiles - tile : ROWS;
                multiplications[rows - 1](&element, input + e * input_apart + tile * channels,
                                          products + e * products_apart + tile * COLUMNS);
            }
        }
        _Alignas(64) int32_t sums[M * M * COLUMNS];
        const size_t channel = block * COLUMNS, left = w->output_channels - channel;
        struct results results = {u, sums, scales, {0}, channel, left < COLUMNS ? left : COLUMNS};
        for (size_t tile = 0; tile < u->tiles; tile++) {
            output_tile(products + tile * COLUMNS, products_apart, start, sums);
            results.at = place_of(w, u->first + tile);
            if (u->grid)
                leave_floats(&results);
            else
                leave_bytes(&q, &results);
        }
    }
}
