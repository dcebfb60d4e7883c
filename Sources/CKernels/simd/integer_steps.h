// Products STEP deep: so many activations of a row, everywhere in a vector, and as many weights of each column, over
// these words:
//   acc   running sums of one vector of columns       acc_start(start), acc_step(acc, a, b), acc_total(acc, start)
//   bvec  weights of a vector of columns, STEP deep   bvec_load(bytes)
//   avec  STEP activations of a row, everywhere       avec_load(row)
// STEPS_IN_MEMORY  acc_step_at is defined, which takes weights from where they lie, for more vectors than so many: with
//                  the sums, their weights would not fit the registers
// ROW_RESTS: row_rest(row, depth) is defined, what is left to add to the sums of all columns, and row_end_rest, the
// same of a whole row.
#ifndef STEPS_IN_MEMORY
#define STEPS_IN_MEMORY 0
SIMD acc acc_step_at(acc sum, avec a, const int8_t *bytes) { return acc_step(sum, a, bvec_load(bytes)); }
#endif

// An address for every third row suffices (the processor adds their distance or twice that): none leaves the registers.
// Weights are fetched AHEAD bytes before they are multiplied: what comes from the third-level cache takes longer than
// the processor looks ahead by itself. Those of few rows go to the first-level cache: to the second, they would pass
// the first one's open requests twice, which are all that such a product waits for.
enum { EACH = 3, BASES = (MR + EACH - 1) / EACH, AHEAD = 4096, LINE = 64, FEW = 2 };

// Sums of one or two rows would be waited for: their steps go to several sums in turn (integers have no order).
enum { MOST_TURNS = VECTORS > 2 ? 2 : 4 };

// A step of all rows, whose addresses move on.
SIMD void step(const int rows, const int vectors, const int8_t *w, const char *base[], size_t stride,
               acc sum[][VECTORS]) {
    // Compilers would keep an address for each row.
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i += EACH) __asm__("" : "+r"(base[i / EACH]));
#pragma clang loop unroll(full)
    for (int j = 0; j < STEP * LANES * vectors; j += LINE)
        if (rows <= FEW)
            __builtin_prefetch(w + AHEAD / 2 + j);
        else
            __builtin_prefetch(w + AHEAD + j, 0, 2);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        const avec a = avec_load((const ROW *)(base[i / EACH] + i % EACH * stride));
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) {
            const int8_t *at = w + j * LANES * STEP;
            sum[i][j] =
                vectors > STEPS_IN_MEMORY ? acc_step_at(sum[i][j], a, at) : acc_step(sum[i][j], a, bvec_load(at));
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i += EACH) base[i / EACH] += STEP * sizeof(ROW);
}

// What the sums of a row and vector `j` of block `n` begin with.
SIMD ivec row_start(const struct operands *o, int row, int n, int j) {
    const ivec start = ivec_load((const int32_t *)((const char *)o->start + n * o->start_apart) + j * LANES);
#ifdef ROW_RESTS
    return ivec_add(start, ivec_set(o->rests[row]));
#else
    return (void)row, start;
#endif
}

SIMD void multiply(const int rows, const int vectors, const struct operands *o, int32_t *sums) {
    const int turns = rows == 1 ? MOST_TURNS : rows == 2 ? MOST_TURNS / 2 : 1;
    acc sum[MOST_TURNS][MR][VECTORS];
#pragma clang loop unroll(full)
    for (int t = 0; t < turns; t++)
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[t][i][j] = acc_start(t == 0 ? row_start(o, i, 0, j) : ivec_set(0));
    const char *base[BASES];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i += EACH) base[i / EACH] = o->input + i * o->stride;
    const int8_t *w = o->weights, *end = w + o->depth * NR;
    for (; turns > 1 && end - w >= turns * STEP * NR; w += turns * STEP * NR)
#pragma clang loop unroll(full)
        for (int t = 0; t < turns; t++) step(rows, vectors, w + t * STEP * NR, base, o->stride, sum[t]);
    for (; w < end; w += STEP * NR) step(rows, vectors, w, base, o->stride, sum[0]);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) {
            ivec total = acc_total(sum[0][i][j], row_start(o, i, 0, j));
#pragma clang loop unroll(full)
            for (int t = 1; t < turns; t++) total = ivec_add(total, acc_total(sum[t][i][j], ivec_set(0)));
            ivec_store(sums + i * NR + j * LANES, total);
        }
}

#ifdef BLOCKS
// One row and BLOCKS neighbouring blocks: sums[BLOCKS][NR].
static TARGET void multiply_row(const struct operands *o, int32_t *sums) {
    acc sum[BLOCKS][VECTORS];
#pragma clang loop unroll(full)
    for (int n = 0; n < BLOCKS; n++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) sum[n][j] = acc_start(row_start(o, 0, n, j));
    const ROW *row = (const ROW *)o->input;
    for (const int8_t *w = o->weights, *end = w + o->depth * NR; w < end; w += STEP * NR, row += STEP) {
        const avec a = avec_load(row);
#pragma clang loop unroll(full)
        for (int n = 0; n < BLOCKS; n++)
#pragma clang loop unroll(full)
            for (int j = 0; j < VECTORS; j++) {
                const int8_t *at = w + n * o->apart + j * LANES * STEP;
                __builtin_prefetch(at + AHEAD / 2 / BLOCKS);
                sum[n][j] = acc_step_at(sum[n][j], a, at);
            }
    }
#pragma clang loop unroll(full)
    for (int n = 0; n < BLOCKS; n++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++)
            ivec_store(sums + n * NR + j * LANES, acc_total(sum[n][j], row_start(o, 0, n, j)));
}
#endif
