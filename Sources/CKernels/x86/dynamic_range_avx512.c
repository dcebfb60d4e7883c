#if defined(__x86_64__)
#include "../simd/i32_avx512.h"
#include "../simd/dynamic_range_rows.h"

TARGET struct eo_range eo_f32_range__avx512(const float *x, size_t count) { return find_range(x, count); }

TARGET float eo_f32_to_u8__avx512(const struct eo_grid *grid, const float *x, uint8_t *q, size_t count) {
    return quantize(grid, x, q, count);
}
#endif
