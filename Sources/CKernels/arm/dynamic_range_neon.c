#if defined(__aarch64__)
#include "../simd/i32_neon.h"
#include "../simd/dynamic_range_rows.h"

struct eo_range eo_f32_range__neon(const float *x, size_t count) {
    return find_range(x, count);
}

float eo_f32_to_u8__neon(const struct eo_grid *grid, const float *x, uint8_t *q, size_t count) {
    return quantize(grid, x, q, count);
}
#endif
