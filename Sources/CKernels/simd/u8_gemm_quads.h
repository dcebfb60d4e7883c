// Products of four activations of a row, everywhere in a vector, and four weights of each column, over these words:
//   acc   running sums of one vector of columns       acc_start(bias), acc_step(acc, a, b), acc_total(acc, bias)
//   bvec  weights of a vector of columns, 4 deep      bvec_load(bytes)
//   avec  four activations of a row, everywhere       avec_load(row, quad)
SIMD void multiply(const int rows, const int vectors, const struct eo_gemm_tile *t, const int32_t *start,
                   const int8_t *w, int32_t *totals) {
    acc sum[ROWS][VECTORS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) sum[i][j] = acc_start(ivec_load(start + j * LANES));
    const ROW *row[ROWS];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) row[i] = (const ROW *)((const char *)t->input + i * t->input_stride);
    const size_t depth = t->depth;
    for (size_t k = 0; k < depth; k += 4) {
        bvec b[VECTORS];
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) b[j] = bvec_load(w + j * LANES * 4);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            avec a = avec_load(row[i] + k);
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[i][j] = acc_step(sum[i][j], a, b[j]);
        }
        w += NR * 4;
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++)
            ivec_store(totals + i * NR + j * LANES, acc_total(sum[i][j], ivec_load(start + j * LANES)));
}
