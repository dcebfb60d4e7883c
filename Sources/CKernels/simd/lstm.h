// Body of the steps of integer LSTM cells. The including file defines STEP, the name of the function; and, where there
// are vectors, shorts, a vector of LANES 16-bit numbers, splat, which makes one of a number, and multiply: the upper
// halves of 2 a b, to nearest, ties up.
#include "../include/lstm.h"
#include <math.h>
#include <string.h>

#ifndef LANES
#define LANES 1
typedef int16_t shorts;
static inline shorts splat(int16_t x) { return x; }
static inline shorts multiply(shorts a, shorts b) { return (shorts)((a * b + (1 << 14)) >> 15); }
#endif

enum { BLOCK = 64 };
typedef int16_t words[BLOCK] __attribute__((aligned(64)));

static inline int32_t clamp_int(int32_t x, int32_t low, int32_t high) { return x < low ? low : x > high ? high : x; }
static inline int32_t word(int32_t x) { return clamp_int(x, -32768, 32767); }

// x / 2^exponent to nearest, ties away from zero
static inline int32_t divide(int32_t x, int exponent) {
    const int32_t mask = (int32_t)((1u << exponent) - 1);
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0));
}

// x times a factor, each of the two roundings to nearest.
static inline int32_t scaled(int32_t x, struct eo_fixed_factor f) {
    const int left = f.shift > 0 ? f.shift : 0, right = f.shift > 0 ? 0 : -f.shift;
    const int64_t product = (int64_t)(int32_t)((uint32_t)x << left) * f.significand;
    return divide((int32_t)((product + (1 << 30)) >> 31), right);
}

// The functions below are those of the reference kernels with products, constants and sums of 16 bits. The constants
// are numbers of 16 bits, for vectors to take them.

// exp(a) for a number a <= 0 with `bits` bits before the point: a is split into a multiple of 1/4 and a rest in
// [-1/4, 0), whose exponential is a Taylor series about -1/8. Q0.15.
static inline shorts exponential(shorts a, int bits) {
    static const int16_t factors[] = {25520, 19875, 12055, 4435, 600, 11}; // exp(-2^k), k = -2 ... 3
    const int16_t center = 28918, third = 10923, greatest = 32767;         // exp(-1/8), 1/3
    const int fraction = 15 - bits;
    const int16_t quarter = (int16_t)(1 << (fraction - 2)), low = (int16_t)(quarter - 1);
    const int16_t eighth = 1 << 12, one = 1, two = 2, room = (int16_t)(greatest - center);
    const shorts rest = (shorts)((a & low) - quarter), x = (shorts)((rest << (int16_t)bits) + eighth);
    const shorts square = multiply(x, x), cube = multiply(square, x);
    const shorts fourth = (shorts)((multiply(square, square) + two) >> two);
    const shorts tail = (shorts)((shorts)(multiply((shorts)(fourth + cube), splat(third)) + square + one) >> one);
    const shorts change = multiply((shorts)(x + tail), splat(center));
    shorts result = (shorts)(center + (change > room ? splat(room) : change));
    const shorts multiple = (shorts)(rest - a);
    for (int k = 0; k < 6; k++) {
        const int16_t there = (int16_t)(k < bits + 2 ? 1 << (fraction - 2 + k) : 0);
        const shorts product = multiply(result, splat(factors[k]));
        result = (multiple & there) != 0 ? product : result;
    }
    // exp(-16) is less than half a step; -32 is the least whose multiple is right.
    const int16_t sixteen = (int16_t)(bits > 4 ? 1 << (fraction + 4) : 0);
    const int16_t least = (int16_t)(bits > 5 ? -(32 << fraction) : -32768);
    result = (multiple & sixteen) != 0 ? splat(0) : result;
    result = a < least ? splat(0) : result;
    return a == 0 ? splat(greatest) : result;
}

// 2 / (1 + a) for 0 <= a < 1 as Q2.13, by Newton's iteration on half the denominator from 48/17 - 32/17 half.
static inline shorts reciprocal(shorts a) {
    const int16_t half_one = 1 << 14, one = 1 << 13, start = 23130, shift = 1, twice = 2;
    const shorts half = (shorts)((a >> shift) + half_one);
    shorts x = (shorts)(start + multiply(half, splat(-15420)));
    for (int i = 0; i < 3; i++) x = (shorts)(x + (multiply(x, (shorts)(one - multiply(half, x))) << twice));
    return x;
}

static inline shorts magnitude_below_zero(shorts a) { return a > 0 ? (shorts)(0 - a) : a; }

// 1 / (1 + exp(-a)) of numbers in Q3.12
static inline shorts logistic(shorts a) {
    const int16_t greatest = 32767, most = 1 << 14, half = 1 << 14, one = 1;
    const shorts x = reciprocal(exponential(magnitude_below_zero(a), 3));
    const shorts positive = x >= most ? splat(greatest) : (shorts)(x << one);
    const shorts value = a > 0 ? positive : (shorts)(greatest - positive);
    return a == 0 ? splat(half) : value;
}

// tanh(a) of numbers with `bits` bits before the point, 0 to 6: (1 - x) / (1 + x) with x = exp(-2 |a|)
static inline shorts hyperbolic_tangent(shorts a, int bits) {
    const int16_t greatest = 32767, one = 1 << 13, two = 2;
    const shorts x = (shorts)(reciprocal(exponential(magnitude_below_zero(a), bits + 1)) - one);
    const shorts positive = x >= one ? splat(greatest) : (shorts)(x << two);
    const shorts value = a > 0 ? positive : (shorts)(0 - positive);
    return a == 0 ? splat(0) : value;
}

// Float sums as whole steps.
static inline int32_t whole(float sum, float steps) {
    const float limit = 0x1p30f, x = sum * steps;
    const float inside = x > -limit ? (x < limit ? x : limit) : x <= -limit ? -limit : 0;
    return (int32_t)rintf(inside);
}

// Each of these loops is there once: code size.
#define LOOP static __attribute__((noinline)) void
#define PLAIN_LOOP _Pragma("clang loop interleave_count(1)")

// y += the sums as Q3.12
LOOP add_sums(words y, int count, const float *sums, float steps, struct eo_fixed_factor factor) {
    PLAIN_LOOP for (int i = 0; i < count; i++) y[i] =
        (int16_t)word((int32_t)((uint32_t)y[i] + (uint32_t)scaled(whole(sums[i], steps), factor)));
}

LOOP add_peepholes(words y, int count, const int16_t *weights, const words state, struct eo_fixed_factor factor) {
    _Pragma("clang loop vectorize(disable)") for (int i = 0; i < count; i++) y[i] =
        (int16_t)word((int32_t)((uint32_t)y[i] + (uint32_t)scaled(weights[i] * state[i], factor)));
}

LOOP logistics(words y) {
    for (int i = 0; i < BLOCK; i += LANES) *(shorts *)(y + i) = logistic(*(const shorts *)(y + i));
}

LOOP hyperbolic_tangents(words y, int bits) {
    for (int i = 0; i < BLOCK; i += LANES) *(shorts *)(y + i) = hyperbolic_tangent(*(const shorts *)(y + i), bits);
}

// y = the value of a gate for cells first ... first + count - 1, from 0.
LOOP gate_values(const struct eo_lstm *layer, int index, size_t first, int count, const float *input,
                 const float *recurrent, const words state, words y) {
    const struct eo_lstm_gate *gate = &layer->gate[index];
    const size_t row = (size_t)(index - layer->first_gate) * layer->cells + first;
    add_sums(y, count, input + row, gate->input_steps, gate->input);
    if (recurrent) add_sums(y, count, recurrent + row, gate->recurrent_steps, gate->recurrent);
    if (gate->peepholes) add_peepholes(y, count, gate->peepholes + first, state, gate->peephole);
    if (index == 2)
        hyperbolic_tangents(y, 3);
    else
        logistics(y);
}

void STEP(const struct eo_lstm *layer, const float *input, const float *recurrent, int16_t *cell, int32_t *output) {
    for (size_t first = 0; first < layer->cells; first += BLOCK) {
        const int count = layer->cells - first < BLOCK ? (int)(layer->cells - first) : BLOCK;
        words value[4] = {{0}}, state = {0};
        int32_t steps[BLOCK];
        memcpy(state, cell + first, (size_t)count * sizeof *cell);
        for (int gate = layer->first_gate; gate < 3; gate++)
            gate_values(layer, gate, first, count, input, recurrent, state, value[gate]);
        const int coupled = layer->first_gate == 1;
        PLAIN_LOOP for (int i = 0; i < BLOCK; i++) {
            const int32_t gain = coupled ? 32767 - value[1][i] : value[0][i];
            const int32_t kept = divide(value[1][i] * state[i], 15);
            const int32_t added = divide(gain * value[2][i], 30 + layer->cell_exponent);
            state[i] = (int16_t)clamp_int(kept + added, layer->cell_low, layer->cell_high);
        }
        memcpy(cell + first, state, (size_t)count * sizeof *cell);
        gate_values(layer, 3, first, count, input, recurrent, state, value[3]);
        hyperbolic_tangents(state, 15 + layer->cell_exponent);
        PLAIN_LOOP for (int i = 0; i < BLOCK; i++) steps[i] = scaled(value[3][i] * state[i], layer->hidden);
        memcpy(output + first, steps, (size_t)count * sizeof *output);
    }
}
