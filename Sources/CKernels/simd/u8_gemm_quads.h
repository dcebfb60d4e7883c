// Products of four activations of a row, everywhere in a vector, and four weights of each column, over these words:
//   acc   running sums of one vector of columns       acc_start(bias), acc_step(acc, a, b), acc_total(acc, bias)
//   bvec  weights of a vector of columns, 4 deep      bvec_load(bytes)
//   avec  four activations of a row, everywhere       avec_load(row)

// An address for every third row suffices (the processor adds their distance or twice that): none leaves the registers.
// Weights are fetched AHEAD bytes before they are multiplied: what comes from the third-level cache takes longer than
// the processor looks ahead by itself.
enum { EACH = 3, BASES = (MR + EACH - 1) / EACH, AHEAD = 4096, LINE = 64 };

SIMD void multiply(const int rows, const int vectors, const struct eo_gemm_tile *t, const char *input,
                   const int32_t *start, const int8_t *w, int32_t *totals) {
    const size_t stride = t->input_stride;
    acc sum[MR][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) sum[i][j] = acc_start(ivec_load(start + j * LANES));
    const char *base[BASES];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i += EACH) base[i / EACH] = input + i * stride;
    for (const int8_t *end = w + t->depth * NR; w < end; w += 4 * NR) {
        // Compilers would keep an address for each row.
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i += EACH) __asm__("" : "+r"(base[i / EACH]));
        bvec b[VECTORS];
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) b[j] = bvec_load(w + j * LANES * 4);
#pragma clang loop unroll(full)
        for (int j = 0; j < 4 * NR; j += LINE) __builtin_prefetch(w + AHEAD + j, 0, 2);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const avec a = avec_load((const ROW *)(base[i / EACH] + i % EACH * stride));
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[i][j] = acc_step(sum[i][j], a, b[j]);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i += EACH) base[i / EACH] += 4 * sizeof(ROW);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++)
            ivec_store(totals + i * NR + j * LANES, acc_total(sum[i][j], ivec_load(start + j * LANES)));
}
