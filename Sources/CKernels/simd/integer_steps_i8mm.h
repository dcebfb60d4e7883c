// Products by the matrix instruction of i8mm: two rows times two columns, 8 deep. Weights come 8 deep as well.
enum { DEPTH_STEP = 8, ROW_PAIRS = (MR + 1) / 2, COLUMN_PAIRS = NR / 2 };

// A last row that is alone is its own partner.
SIMD void multiply(const int rows, const int vectors, const struct operands *o, int32_t *sums) {
    const int pairs = (rows + 1) / 2, columns = vectors * LANES;
    int32x4_t sum[ROW_PAIRS][COLUMN_PAIRS];
    const ROW *row[2 * ROW_PAIRS];
#pragma clang loop unroll(full)
    for (int i = 0; i < 2 * pairs; i++) row[i] = (const ROW *)(o->input + (i < rows ? i : i - 1) * o->stride);
#pragma clang loop unroll(full)
    for (int j = 0; j < columns / 2; j++) {
        const int32x2_t start = vld1_s32(o->start + 2 * j);
#pragma clang loop unroll(full)
        for (int i = 0; i < pairs; i++) sum[i][j] = vcombine_s32(start, start);
    }
    const int8_t *w = o->weights;
    for (size_t k = 0; k < o->depth; k += DEPTH_STEP, w += NR * DEPTH_STEP) {
        int8x16_t b[COLUMN_PAIRS];
#pragma clang loop unroll(full)
        for (int j = 0; j < columns / 2; j++) b[j] = vld1q_s8(w + j * 2 * DEPTH_STEP);
#pragma clang loop unroll(full)
        for (int i = 0; i < pairs; i++) {
            const int8x16_t a = vcombine_s8(vld1_s8(row[2 * i] + k), vld1_s8(row[2 * i + 1] + k));
#pragma clang loop unroll(full)
            for (int j = 0; j < columns / 2; j++) sum[i][j] = vmmlaq_s32(sum[i][j], a, b[j]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < pairs; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns / 2; j++) {
            vst1_s32(sums + 2 * i * NR + 2 * j, vget_low_s32(sum[i][j]));
            if (2 * i + 1 < rows) vst1_s32(sums + (2 * i + 1) * NR + 2 * j, vget_high_s32(sum[i][j]));
        }
}
