#if defined(__aarch64__)
#define K(name) eo_gradient_##name##__neon
#define TABLE eo_gradients_neon
#define ISA ISA_NEON
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#include "../simd/gradients.h"
#else
typedef int eo_not_for_this_processor; // a translation unit must not be empty
#endif
