#if defined(__x86_64__)
#include "../simd/f32_avx512.h"
#include "../simd/f32_gemm.h"

STRIP(1)
STRIP(2)
STRIP(3)
STRIP(4)
STRIP(5)
STRIP(6)
STRIP(7) STRIP(8) STRIP(9) STRIP(10) STRIP(11) STRIP(12) STRIP(13) STRIP(14)

    // 14: the image sizes of networks for 224 x 224 images (112, 56, 28, 14, 7) are its multiples; 28 sums, two vectors
    // of weights and a broadcast fill the 32 registers.
    void eo_f32_gemm_14x32__avx512(const struct eo_gemm_tile *t) {
    static eo_gemm_function *const strips[] = {strip_1, strip_2, strip_3,  strip_4,  strip_5,  strip_6,  strip_7,
                                               strip_8, strip_9, strip_10, strip_11, strip_12, strip_13, strip_14};
    strips[t->rows - 1](t);
}
#endif
