#if defined(__x86_64__)
#include "../simd/f32_avx512.h"
#include "../simd/f32_winograd.h"

TARGET void eo_winograd_input__avx512(const struct eo_winograd_input *input) { transform_inputs(input); }

TARGET void eo_winograd_output__avx512(const struct eo_winograd_output *output) { transform_outputs(output); }
#endif
