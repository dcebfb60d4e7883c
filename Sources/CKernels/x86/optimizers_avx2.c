#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define K(name) eo_optimizer_##name##__avx2
#define TABLE eo_optimizers_avx2
#define ISA ISA_AVX2
#include "../simd/optimizers.h"
#pragma clang attribute pop
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
