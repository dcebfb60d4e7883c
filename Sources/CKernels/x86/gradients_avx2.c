#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define K(name) eo_gradient_##name##__avx2
#define TABLE eo_gradients_avx2
#define ISA ISA_AVX2
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#include "../simd/gradients.h"
#pragma clang attribute pop
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
