// Products STEP deep: so many activations of a row, everywhere in a vector, and as many weights of each column, over
// these words:
//   acc   running sums of one vector of columns       acc_start(start), acc_step(acc, a, b), acc_total(acc, start)
//   bvec  weights of a vector of columns, STEP deep   bvec_load(bytes)
//   avec  STEP activations of a row, everywhere       avec_load(row)
// Where a step is multiplied in several PHASES, the words of loading take the number of one as well, and give what it
// multiplies.
#ifndef PHASES
#define PHASES 1
#define bvec_load_phase(bytes, phase) bvec_load(bytes)
#define avec_load_phase(row, phase) avec_load(row)
#endif

// An address for every third row suffices (the processor adds their distance or twice that): none leaves the registers.
// Weights are fetched AHEAD bytes before they are multiplied: what comes from the third-level cache takes longer than
// the processor looks ahead by itself. Those of few rows go to the first-level cache: to the second, they would pass
// the first one's open requests twice, which are all that such a product waits for.
enum { EACH = 3, BASES = (MR + EACH - 1) / EACH, AHEAD = 4096, LINE = 64, FEW = 2 };

// Sums of one or two rows would be waited for: their steps go to several sums in turn (integers have no order).
enum { MOST_TURNS = 4 };

// A step of all rows, whose addresses move on.
SIMD void step(const int rows, const int vectors, const int8_t *w, const char *base[], size_t stride,
               acc sum[][VECTORS]) {
    // Compilers would keep an address for each row.
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i += EACH) __asm__("" : "+r"(base[i / EACH]));
#pragma clang loop unroll(full)
    for (int j = 0; j < STEP * NR; j += LINE)
        if (rows <= FEW)
            __builtin_prefetch(w + AHEAD / 2 + j);
        else
            __builtin_prefetch(w + AHEAD + j, 0, 2);
#pragma clang loop unroll(full)
    for (int phase = 0; phase < PHASES; phase++) {
        bvec b[VECTORS];
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) b[j] = bvec_load_phase(w + j * LANES * STEP, phase);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const avec a = avec_load_phase((const ROW *)(base[i / EACH] + i % EACH * stride), phase);
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[i][j] = acc_step(sum[i][j], a, b[j]);
        }
        // What a phase has loaded would stay in registers that sums need.
        if (PHASES > 1) __asm__("" : "+r"(w));
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i += EACH) base[i / EACH] += STEP * sizeof(ROW);
}

SIMD void multiply(const int rows, const int vectors, const struct operands *o, int32_t *sums) {
    const int turns = rows == 1 ? MOST_TURNS : rows == 2 ? MOST_TURNS / 2 : 1;
    acc sum[MOST_TURNS][MR][VECTORS];
#pragma clang loop unroll(full)
    for (int t = 0; t < turns; t++)
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++)
                sum[t][i][j] = acc_start(t == 0 ? ivec_load(o->start + j * LANES) : ivec_set(0));
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
            ivec total = acc_total(sum[0][i][j], ivec_load(o->start + j * LANES));
#pragma clang loop unroll(full)
            for (int t = 1; t < turns; t++) total = ivec_add(total, acc_total(sum[t][i][j], ivec_set(0)));
            ivec_store(sums + i * NR + j * LANES, total);
        }
}

#ifdef BLOCKS
// Words of a single row, where those of several do: STEP numbers of it, everywhere in a vector; sum + their products
// with as many weights of each column; what is left to add to the sums of all columns.
#if ROW_PIVOT == 0
typedef avec rvec;
SIMD rvec rvec_load(const ROW *row) { return avec_load(row); }
SIMD acc rvec_step(acc sum, rvec a, const int8_t *bytes) {
    __builtin_prefetch(bytes + AHEAD / 2 / BLOCKS);
    return acc_step(sum, a, bvec_load(bytes));
}
SIMD int32_t row_rest(const ROW *row, size_t depth) { return (void)row, (void)depth, 0; }
#endif

// What the sums of vector `j` of block `n` begin with.
SIMD ivec row_start(const struct operands *o, int n, int j) {
    const ivec start = ivec_load((const int32_t *)((const char *)o->start + n * o->start_apart) + j * LANES);
    if (ROW_PIVOT == 0) return start;
    const int32_t *pivot = (const int32_t *)(o->weights + n * o->apart) - NR + j * LANES;
    return ivec_add(ivec_add(start, ivec_load(pivot)), ivec_set(o->rest));
}

// One row and BLOCKS neighbouring blocks: sums[BLOCKS][NR].
static TARGET void multiply_row(const struct operands *o, int32_t *sums) {
    acc sum[BLOCKS][VECTORS];
#pragma clang loop unroll(full)
    for (int n = 0; n < BLOCKS; n++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++) sum[n][j] = acc_start(row_start(o, n, j));
    const ROW *row = (const ROW *)o->input;
    for (const int8_t *w = o->weights, *end = w + o->depth * NR; w < end; w += STEP * NR, row += STEP) {
        const rvec a = rvec_load(row);
#pragma clang loop unroll(full)
        for (int n = 0; n < BLOCKS; n++)
#pragma clang loop unroll(full)
            for (int j = 0; j < VECTORS; j++) sum[n][j] = rvec_step(sum[n][j], a, w + n * o->apart + j * LANES * STEP);
    }
#pragma clang loop unroll(full)
    for (int n = 0; n < BLOCKS; n++)
#pragma clang loop unroll(full)
        for (int j = 0; j < VECTORS; j++)
            ivec_store(sums + n * NR + j * LANES, acc_total(sum[n][j], row_start(o, n, j)));
}
#endif
