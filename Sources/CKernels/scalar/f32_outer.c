#include "gemm.h"

// A twin that others are tested against: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

KERNEL_FAMILY_TABLE(eo_f32_outer, EO_F32_OUTER_ROWS)

void eo_f32_outer__scalar(const struct eo_outer_tile *t) {
    for (size_t i = 0; i < t->rows; i++) {
        float *output = t->output + i * t->output_step;
        for (const struct eo_outer_run *run = t->runs; run < t->runs + t->run_count; run++) {
            const float *a = run->a + i, *b = run->b;
            for (size_t p = 0; p < run->count; p++, a += t->a_step, b += t->b_step)
                for (size_t j = 0; j < t->columns; j++) output[j] += *a * b[j];
        }
    }
}
#pragma clang attribute pop
