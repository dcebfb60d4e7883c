#if defined(__aarch64__)
#include "../simd/f32_neon.h"
#include "../simd/f32_winograd.h"

void eo_winograd_input__neon(const struct eo_winograd_input *input) { transform_inputs(input); }

void eo_winograd_output__neon(const struct eo_winograd_output *output) { transform_outputs(output); }
#endif
