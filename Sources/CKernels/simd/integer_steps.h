// Products STEP deep: so many activations of a row, everywhere in a vector, and as many weights of each column, over
// these words:
//   acc   running sums of one vector of columns       acc_start(start), acc_step(acc, a, b), acc_total(acc, start)
//   bvec  weights of a vector of columns, STEP deep   bvec_load(bytes)
//   avec  STEP activations of a row, everywhere       avec_load(row)

// An address for every third row suffices (the processor adds their distance or twice that): none leaves the registers.
// Weights are fetched AHEAD bytes before they are multiplied: what comes from the third-level cache takes longer than
// the processor looks ahead by itself.
enum { EACH = 3, BASES = (MR + EACH - 1) / EACH, AHEAD = 4096, LINE = 64 };

SIMD void multiply(const int rows, const int vectors, const struct operands *o, int32_t *sums) {
    const size_t stride = o->stride;
    acc sum[MR][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) sum[i][j] = acc_start(ivec_load(o->start + j * LANES));
    const char *base[BASES];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i += EACH) base[i / EACH] = o->input + i * stride;
    for (const int8_t *w = o->weights, *end = w + o->depth * NR; w < end; w += STEP * NR) {
        // Compilers would keep an address for each row.
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i += EACH) __asm__("" : "+r"(base[i / EACH]));
        bvec b[VECTORS];
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) b[j] = bvec_load(w + j * LANES * STEP);
#pragma clang loop unroll(full)
        for (int j = 0; j < STEP * NR; j += LINE) __builtin_prefetch(w + AHEAD + j, 0, 2);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const avec a = avec_load((const ROW *)(base[i / EACH] + i % EACH * stride));
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[i][j] = acc_step(sum[i][j], a, b[j]);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i += EACH) base[i / EACH] += STEP * sizeof(ROW);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++)
            ivec_store(sums + i * NR + j * LANES, acc_total(sum[i][j], ivec_load(o->start + j * LANES)));
}
