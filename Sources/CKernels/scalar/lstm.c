#define STEP eo_lstm_step__scalar
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#include "../simd/lstm.h"
#pragma clang attribute pop

KERNEL_FAMILY_TABLE(eo_lstm_step, EO_LSTM_STEP_ROWS)
