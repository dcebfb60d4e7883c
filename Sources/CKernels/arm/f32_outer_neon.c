#if defined(__aarch64__)
#include "../simd/f32_neon.h"

// 16 sums, a vector and broadcasts of the 32 registers.
enum { MR = 16 };
#define ROW_COUNTS(F) F(16) F(12) F(8) F(4) F(2) F(1)

#include "../simd/f32_outer.h"

void eo_f32_outer__neon(const struct eo_outer_tile *t) { outer(t); }
#endif
