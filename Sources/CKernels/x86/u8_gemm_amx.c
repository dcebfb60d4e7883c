#if defined(__x86_64__)
#include "gemm.h"
#include "tiles.h"
#undef TARGET
#define TARGET                                                                                                         \
    __attribute__((                                                                                                    \
        target("amx-tile,amx-int8,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,bmi2,fma,f16c")))

// What the rows hold; weights are bytes with a sign, or bfloat16 too.
enum numbers { UNSIGNED_BYTES, SIGNED_BYTES, BFLOATS };

// Sums of a block of rows and columns on their way to the output.
struct sums {
    _Alignas(64) int32_t values[BLOCK_ROWS][NR];
    size_t first_row, rows, columns;
    size_t done;      // rows that have left
    const char *head; // of the block of weights
    char *output;
};

struct product;
// Sums up to row `end` become results.
typedef void leave_function(const struct product *product, struct sums *sums, size_t end);

struct product {
    const struct eo_gemm_tile *tile;
    leave_function *leave;
    size_t leaving; // rows of sums that leave during a step
    size_t heads;   // numbers at the head of a block of weights, for each column
    bool has_bias;  // they begin with what sums begin with
    enum numbers numbers;
    size_t depth;               // bytes of a row
    const int32_t *corrections; // - weight zero point * sum of the row, or null
    __m512i zero_point;         // of words
    __m512i minimum, maximum;   // of bytes
    __m512i flip;               // of bytes: results above 127 are computed less 128
    __m512 limit;
};

// A row of sums becomes words. Where a scale of 1 or more may make numbers too large to convert (`general`), they are
// limited before.
SIMD __m512i requantized_words(const int general, const struct product *p, const int32_t *sums, const __m512 scale[2],
                               int32_t correction) {
    __m512i sum[2];
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
        sum[j] = _mm512_load_si512(sums + LANES * j);
        if (general) sum[j] = ivec_add(sum[j], ivec_set(correction));
        vec x = vec_multiply(ivec_to_float(sum[j]), scale[j]);
        if (general) x = vec_min(x, p->limit);
        sum[j] = vec_round(x);
    }
    return _mm512_adds_epi16(_mm512_packs_epi32(sum[0], sum[1]), p->zero_point);
}

// Two rows at a time. Everything is read before the first store, which might change anything as far as the compiler
// knows.
SIMD void requantize_rows(const int general, const struct product *product, struct sums *s, size_t end) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const struct product p = *product;
    const float *scales = (const float *)s->head + NR;
    const __m512 scale[2] = {vec_load(scales), vec_load(scales + LANES)};
    const __mmask32 mask = _bzhi_u32(~0u, (unsigned)s->columns);
    const size_t stride = p.tile->output_stride, last = s->rows - 1;
    const int32_t *corrections = p.corrections ? p.corrections + s->first_row : NULL;
    char *to = s->output + s->done * stride;
    size_t row = s->done;
    for (; row < end; row += 2, to += 2 * stride) {
        const size_t below = row < last;
        const int32_t first = general && corrections ? corrections[row] : 0;
        const int32_t second = general && corrections ? corrections[row + below] : 0;
        __m512i bytes = _mm512_packs_epi16(requantized_words(general, &p, s->values[row], scale, first),
                                           requantized_words(general, &p, s->values[row + below], scale, second));
        bytes = _mm512_min_epi8(_mm512_max_epi8(bytes, p.minimum), p.maximum);
        // Columns 0-3 and 16-19 of both rows, 4-7 and 20-23 of both, ... come to be in order.
        bytes = _mm512_permutexvar_epi32(order, _mm512_xor_si512(bytes, p.flip));
        const __m256i lower = _mm512_castsi512_si256(bytes), upper = _mm512_extracti64x4_epi64(bytes, 1);
        if (general) {
            _mm256_mask_storeu_epi8(to, mask, lower);
            _mm256_mask_storeu_epi8(to + below * stride, mask, upper);
        } else {
            _mm256_storeu_si256((__m256i *)to, lower);
            _mm256_storeu_si256((__m256i *)(to + below * stride), upper);
        }
    }
    s->done = row;
}

static __attribute__((noinline)) TARGET void requantize_any(const struct product *p, struct sums *s, size_t end) {
    requantize_rows(1, p, s, end);
}

static TARGET void requantize(const struct product *p, struct sums *s, size_t end) {
    if (s->columns < NR)
        requantize_any(p, s, end);
    else
        requantize_rows(0, p, s, end);
}

static TARGET void dequantize(const struct product *p, struct sums *s, size_t end) {
    const struct eo_hybrid_gemm_parameters *limits = p->tile->parameters;
    const struct eo_hybrid_row *grids = p->tile->row_parameters;
    const float *scales = (const float *)s->head + NR;
    const vec low = vec_set(limits->minimum), high = vec_set(limits->maximum);
    size_t row = s->done;
    for (; row < end; row++) {
        const struct eo_hybrid_row grid = grids[s->first_row + row];
        float *output = (float *)(s->output + row * p->tile->output_stride);
#pragma clang loop unroll(full)
        for (int j = 0; j < 2; j++) {
            const ivec zero =
                ivec_multiply(ivec_load((const int32_t *)s->head + LANES * j), ivec_set(-grid.zero_point));
            const ivec sum = ivec_add(ivec_load(s->values[row] + LANES * j), zero);
            const vec scale = vec_multiply(vec_set(grid.scale), vec_load(scales + LANES * j));
            vec x = vec_add(vec_multiply(ivec_to_float(sum), scale), vec_load(scales + NR + LANES * j));
            const uint32_t mask = _bzhi_u32(~0u, (unsigned)s->columns) >> LANES * j;
            _mm512_mask_storeu_ps(output + LANES * j, (__mmask16)mask, vec_clamp(x, low, high));
        }
    }
    s->done = row;
}

// Floats that begin with the bias.
static TARGET void limit(const struct product *p, struct sums *s, size_t end) {
    const struct eo_f32_gemm_parameters *limits = p->tile->parameters;
    const vec low = vec_set(limits->minimum), high = vec_set(limits->maximum);
    const uint32_t mask = _bzhi_u32(~0u, (unsigned)s->columns);
    size_t row = s->done;
    for (; row < end; row++) {
        float *output = (float *)(s->output + row * p->tile->output_stride);
        const vec left = vec_load((const float *)s->values[row]),
                  right = vec_load((const float *)s->values[row] + LANES);
        _mm512_mask_storeu_ps(output, (__mmask16)mask, vec_clamp(left, low, high));
        _mm512_mask_storeu_ps(output + LANES, (__mmask16)(mask >> LANES), vec_clamp(right, low, high));
    }
    s->done = row;
}

// The tiles are named by constants.
#define MULTIPLY(sum, a, b)                                                                                            \
    do {                                                                                                               \
        if (numbers == SIGNED_BYTES)                                                                                   \
            _tile_dpbssd(sum, a, b);                                                                                   \
        else if (numbers == UNSIGNED_BYTES)                                                                            \
            _tile_dpbusd(sum, a, b);                                                                                   \
        else                                                                                                           \
            _tile_dpbf16ps(sum, a, b);                                                                                 \
    } while (0)

// Sums of a block; while the tiles are busy the sums of the block before leave. `lower`, `right`: there are more than
// 16 rows, columns.
SIMD void block(const enum numbers numbers, const int lower, const int right, const struct product *p, struct sums *now,
                struct sums *before) {
    const struct eo_gemm_tile *t = p->tile;
    const size_t stride = t->input_stride, depth = p->depth;
    const char *upper_rows = (const char *)t->input + now->first_row * stride;
    const char *lower_rows = upper_rows + TILE_ROWS * stride;
    const size_t steps = (depth + TILE_BYTES - 1) / TILE_BYTES;
    if (p->has_bias) {
        // The same row 16 times.
        _tile_loadd(0, now->head, 0);
        if (lower) _tile_loadd(2, now->head, 0);
        if (right) _tile_loadd(1, now->head + TILE_BYTES, 0);
        if (lower && right) _tile_loadd(3, now->head + TILE_BYTES, 0);
    } else {
        _tile_zero(0);
        if (lower) _tile_zero(2);
        if (right) _tile_zero(1);
        if (lower && right) _tile_zero(3);
    }
    const char *w = now->head + p->heads * 4 * NR;
    for (size_t step = 0; step < steps; step++, w += TILE_BYTES * NR) {
        // The last step overlaps the one before: what it has in common with it has weights of 0.
        const size_t k = step + 1 < steps || steps == 1 ? step * TILE_BYTES : depth - TILE_BYTES;
        _tile_loadd(6, w, 4 * NR);
        _tile_loadd(4, upper_rows + k, stride);
        MULTIPLY(0, 4, 6);
        if (right) {
            _tile_loadd(7, w + TILE_BYTES, 4 * NR);
            MULTIPLY(1, 4, 7);
        }
        if (lower) {
            _tile_loadd(5, lower_rows + k, stride);
            MULTIPLY(2, 5, 6);
            if (right) MULTIPLY(3, 5, 7);
        }
        const size_t end = before->done + p->leaving;
        if (before->done < before->rows) p->leave(p, before, end < before->rows ? end : before->rows);
    }
    _tile_stored(0, now->values, sizeof now->values[0]);
    if (lower) _tile_stored(2, now->values + TILE_ROWS, sizeof now->values[0]);
    if (right) _tile_stored(1, now->values[0] + LANES, sizeof now->values[0]);
    if (lower && right) _tile_stored(3, now->values[TILE_ROWS] + LANES, sizeof now->values[0]);
}

#define BLOCKS(kind, numbers)                                                                                          \
    static TARGET void block_##kind(const struct product *p, struct sums *now, struct sums *before) {                  \
        if (now->rows > TILE_ROWS && now->columns > LANES)                                                             \
            block(numbers, 1, 1, p, now, before);                                                                      \
        else if (now->rows > TILE_ROWS)                                                                                \
            block(numbers, 1, 0, p, now, before);                                                                      \
        else if (now->columns > LANES)                                                                                 \
            block(numbers, 0, 1, p, now, before);                                                                      \
        else                                                                                                           \
            block(numbers, 0, 0, p, now, before);                                                                      \
    }
BLOCKS(signed, SIGNED_BYTES)
BLOCKS(unsigned, UNSIGNED_BYTES)
BLOCKS(bfloat, BFLOATS)

// - weight zero point * sum of the row
SIMD void row_corrections(const struct eo_gemm_tile *t, const struct eo_u8_gemm_parameters *p, int32_t *corrections) {
    const __m512i ones = _mm512_set1_epi8(1), flip = _mm512_set1_epi8(p->rows_are_signed ? (char)0x80 : 0);
    for (size_t i = 0; i < t->rows; i++) {
        const char *row = (const char *)t->input + i * t->input_stride;
        __m512i sum = _mm512_setzero_si512();
        for (size_t k = 0; k < t->depth; k += 64) {
            const __mmask64 mask = _bzhi_u64(~0ull, t->depth - k < 64 ? (unsigned)(t->depth - k) : 64);
            sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, row + k), flip),
                                      _mm512_maskz_mov_epi8(mask, ones));
        }
        const uint32_t shift = p->rows_are_signed ? 128 * (uint32_t)t->depth : 0;
        const uint32_t total = (uint32_t)_mm512_reduce_add_epi32(sum) - shift;
        corrections[i] = (int32_t)(0 - (uint32_t)p->weight_zero_point * total);
    }
}

// Rows that stay in the first-level cache while the weights pass by.
SIMD size_t panel_rows(size_t depth) {
    const size_t rows = 16 * 1024 / depth / BLOCK_ROWS * BLOCK_ROWS;
    return rows < BLOCK_ROWS ? BLOCK_ROWS : rows;
}

// Even, and all of a block's rows in the steps of the next.
SIMD size_t leaving_rows(size_t depth) {
    const size_t steps = (depth + TILE_BYTES - 1) / TILE_BYTES;
    return 2 * ((BLOCK_ROWS / 2 + steps - 1) / steps);
}

// All blocks: panels of rows, in them columns, in them rows.
static TARGET void blocks(const struct product *p, size_t element) {
    const struct eo_gemm_tile *t = p->tile;
    const size_t filled = p->depth < TILE_BYTES ? p->depth : (p->depth + TILE_BYTES - 1) / TILE_BYTES * TILE_BYTES;
    const size_t size = NR * (p->heads * 4 + filled);
    const size_t k = p->depth < TILE_BYTES ? p->depth : TILE_BYTES, panel = panel_rows(p->depth);
    struct sums sums[2];
    sums[1].rows = sums[1].done = 0;
    sums[1].head = t->weights;
    int turn = 0;
    size_t configured = 0;
    for (size_t top = 0; top < t->rows; top += panel) {
        const size_t bottom = t->rows - top < panel ? t->rows : top + panel;
        // Columns outside while whole blocks of rows last, so that the tiles are configured but twice.
        const size_t whole = top + (bottom - top) / BLOCK_ROWS * BLOCK_ROWS;
        for (int part = whole == top; part < 1 + (whole < bottom); part++) {
            const size_t first = part ? whole : top, end = part ? bottom : whole;
            const size_t count = part ? bottom - whole : BLOCK_ROWS;
            if (configured != count) tiles_configure(configured = count, k);
            const char *head = t->weights;
            for (size_t column = 0; column < t->columns; column += NR, head += size)
                for (size_t row = first; row < end; row += BLOCK_ROWS, turn ^= 1) {
                    struct sums *now = sums + turn, *before = sums + !turn;
                    now->first_row = row;
                    now->rows = count;
                    now->columns = t->columns - column < NR ? t->columns - column : NR;
                    now->done = 0;
                    now->head = head;
                    now->output = (char *)t->output + row * t->output_stride + column * element;
                    if (p->numbers == SIGNED_BYTES)
                        block_signed(p, now, before);
                    else if (p->numbers == UNSIGNED_BYTES)
                        block_unsigned(p, now, before);
                    else
                        block_bfloat(p, now, before);
                }
        }
    }
    _tile_release();
    p->leave(p, sums + !turn, sums[!turn].rows);
}

TARGET void eo_u8_gemm_32x32__amx(const struct eo_gemm_tile *t) {
    const struct eo_u8_gemm_parameters *q = t->parameters;
    const int32_t minimum = (int32_t)q->minimum + q->output_zero_point;
    const int32_t maximum = (int32_t)q->maximum + q->output_zero_point, offset = maximum > 127 ? 128 : 0;
    int32_t corrections[EO_AMX_ROWS];
    if (q->weight_zero_point != 0) row_corrections(t, q, corrections);
    const struct product p = {
        .tile = t,
        .leave = q->weight_zero_point == 0 && q->scales_below_one ? requantize : requantize_any,
        .leaving = leaving_rows(t->depth),
        .heads = 2,
        .has_bias = true,
        .numbers = q->rows_are_signed ? SIGNED_BYTES : UNSIGNED_BYTES,
        .depth = t->depth,
        .corrections = q->weight_zero_point != 0 ? corrections : NULL,
        .zero_point = _mm512_set1_epi16((int16_t)(q->output_zero_point - offset)),
        .minimum = _mm512_set1_epi8((int8_t)(minimum - offset)),
        .maximum = _mm512_set1_epi8((int8_t)(maximum - offset)),
        .flip = _mm512_set1_epi8((char)offset),
        .limit = vec_set(q->maximum),
    };
    blocks(&p, 1);
}

TARGET void eo_hybrid_gemm_32x32__amx(const struct eo_gemm_tile *t) {
    const struct product p = {
        .tile = t, .leave = dequantize, .leaving = leaving_rows(t->depth), .heads = 3, .depth = t->depth};
    blocks(&p, sizeof(float));
}

TARGET void eo_bf16_gemm_32x32__amx(const struct eo_gemm_tile *t) {
    const size_t depth = 2 * t->depth;
    const struct product p = {.tile = t,
                              .leave = limit,
                              .leaving = leaving_rows(depth),
                              .heads = 1,
                              .has_bias = true,
                              .numbers = BFLOATS,
                              .depth = depth};
    blocks(&p, sizeof(float));
}
#endif
