#if defined(__x86_64__)
#include "../simd/f32_avx2.h"
#include "../simd/f32_gemm.h"

STRIP(1)
STRIP(2)
STRIP(3)
STRIP(4)
STRIP(5)
STRIP(6)

// 12 sums, two vectors of weights and a broadcast of the 16 registers.
void eo_f32_gemm_6x16__avx2(const struct eo_gemm_tile *t) {
    static eo_gemm_function *const strips[] = {strip_1, strip_2, strip_3, strip_4, strip_5, strip_6};
    strips[t->rows - 1](t);
}
#endif
