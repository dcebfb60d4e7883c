// A step of an integer LSTM cell in fixed point, with the bits of LiteRT's reference kernels.
//
// Written once (simd/lstm.h), compiled for each instruction set; integers alone decide, so all give the same bits.
// Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (2018),
// appendix B, has the arithmetic.
#ifndef EDGEOPT_LSTM_H
#define EDGEOPT_LSTM_H

#include "family.h"

#pragma GCC visibility push(hidden)

// A factor: significand * 2^(shift - 31), the significand 0 or in [2^30, 2^31).
struct eo_fixed_factor {
    int32_t significand, shift;
};

// Sums become whole accumulator steps by `input_steps` and `recurrent_steps` (1 where they are that), and these Q3.12
// numbers, in [-8, 8), by the factors. After each of its terms a gate is limited to that.
struct eo_lstm_gate {
    float input_steps, recurrent_steps;
    struct eo_fixed_factor input, recurrent, peephole;
    const int16_t *_Nullable peepholes; // [cells]
};

struct eo_lstm {
    size_t cells;
    int first_gate; // of input, forget, cell, output; 1: the input gate is 1 - the forget gate
    struct eo_lstm_gate gate[4];
    int cell_exponent;           // the cell state counts in steps of 2^cell_exponent, -15 to -9
    int32_t cell_low, cell_high; // in the range of int16
    struct eo_fixed_factor hidden;
};

// One step of one sample. `input` and `recurrent`: sums, float [gates there are][cells]; those of `recurrent` are 0 if
// it is null. `cell`: the state, [cells]. `output`: [cells], steps of the output less its zero point, not limited. A
// sum that is no number counts as 0.
typedef void eo_lstm_step_function(const struct eo_lstm *_Nonnull layer, const float *_Nonnull input,
                                   const float *_Nullable recurrent, int16_t *_Nonnull cell, int32_t *_Nonnull output);
#define EO_LSTM_STEP_ROWS(ROW)                                                                                         \
    X86_ROW(ROW, eo_lstm_step__avx2, ISA_AVX2, 0, 0)                                                                   \
    ARM_ROW(ROW, eo_lstm_step__neon, ISA_NEON, 0, 0)                                                                   \
    ROW(eo_lstm_step__scalar, ISA_SCALAR, 0, 0)
KERNEL_FAMILY(eo_lstm_step)

#define KERNEL_ROW(function, ...) eo_lstm_step_function function;
EO_LSTM_STEP_ROWS(KERNEL_ROW)
#undef KERNEL_ROW

#pragma GCC visibility pop
#endif
