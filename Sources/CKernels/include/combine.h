// Two numbers of any type become one, or their comparison: what is too rare for a row of elementwise.h. One function
// for each instruction set chooses among the loops, so that each costs a hundred bytes.
#ifndef EDGEOPT_COMBINE_H
#define EDGEOPT_COMBINE_H

#include "elementwise.h"

#pragma GCC visibility push(hidden)

// Whole numbers wrap. Comparisons and EO_BOTH make bytes of 0 and 1; a byte that is not 0 counts as 1.
enum eo_function {
    EO_EQUAL,      // EO_U8, EO_S16, EO_S32, EO_S64, EO_F32
    EO_LESS,       // EO_S16, EO_S32, EO_S64, EO_F32
    EO_LESS_EQUAL, // EO_F32
    EO_BOTH,       // EO_U8
    EO_ADD,        // EO_S16, EO_S32, EO_S64, as the others
    EO_SUBTRACT,
    EO_MULTIPLY,
    EO_MINIMUM,
    EO_MAXIMUM,
    EO_ADD_LONG, // EO_S64, the first operand EO_S32
    EO_CHOOSE,   // EO_U8, EO_S16, EO_S32, EO_S64: the first where a condition holds, else the second
    // Of one number, see eo_convert.
    EO_TO_BOOL, // EO_F32
    EO_TO_U8,   // EO_F32
    EO_TO_S32,  // EO_F32, EO_S64
    EO_TO_S64,  // EO_F32, EO_S32
    EO_TO_F32,  // EO_U8: is it not 0? EO_S32, EO_S64
};

// x becomes (x - zero) 2^8 significand 2^(shift - 31), rounded after the multiplication and after the shift, ties away
// from zero. The significand is not negative, shift -31 or more.
struct eo_common_scale {
    int32_t zero, significand, shift;
};

struct eo_combination {
    struct eo_f32_params floats; // first, so that kernels of elementwise.h take this as their parameters
    enum eo_function function;
    enum eo_number type;
    bool exchanges; // f(b, a)
    bool inverts;   // 1 instead of 0 and 0 instead of 1; EO_BOTH: the operands too, which makes it "either"
    bool squares;   // the result, a whole number
    // EO_S32 only: operands are bytes, the numbers that stand for them in two tables of 256, if there are tables; or
    // they have 16 bits, and two scales.
    const int32_t *_Nullable tables;
    const struct eo_common_scale *_Nullable scales;
    const uint8_t *_Nullable condition; // for EO_CHOOSE, a byte for each element
    int64_t low, high;                  // whole numbers are clamped to this, if low <= high
};

// params: struct eo_combination. The output may be the memory of an input with elements of the same size.
extern const struct eo_binary eo_combine;

// y[i] = condition[i] ? a[i] : b[i] of elements as large as `type`; a step of 0 makes an operand a single element.
void eo_choose(enum eo_number type, size_t n, const uint8_t *_Nonnull condition, const void *_Nonnull a, size_t step_a,
               const void *_Nonnull b, size_t step_b, void *_Nonnull y);

// Numbers as others: params say which function and which type. Whole numbers wrap, floats are cut off and limited, NaN
// becomes the greatest number.
eo_unary_kernel eo_convert;

typedef void eo_combine_function(const struct eo_combination *_Nonnull c, enum eo_function function, size_t n,
                                 const void *_Nonnull a, const void *_Nonnull b, void *_Nonnull y);
// y[i] = f(a[i], b[i]) without the rest, for every processor and for AVX2.
eo_combine_function eo_combine__scalar, eo_combine__avx2;

// Many numbers become one, one after the other, beginning with `start`: an element, of which the first bytes count.
struct eo_fold {
    eo_binary_kernel *_Nonnull kernel;
    struct eo_combination step; // of a number and what came of those before
    struct eo_combination join; // of two results
    size_t size, result_size;
    int64_t start;
};
void eo_fold_start(const struct eo_fold *_Nonnull fold, size_t n, void *_Nonnull y);
// Continues y[i] with x[i] of each row, `stride` elements apart.
void eo_fold_rows(const struct eo_fold *_Nonnull fold, size_t n, size_t rows, size_t stride, const void *_Nonnull x,
                  void *_Nonnull y);
// Continues y[i] with the n elements of row i, rows `stride` elements apart. Long rows are folded in parts: n alone
// says in which.
void eo_fold_runs(const struct eo_fold *_Nonnull fold, size_t n, size_t rows, size_t stride, const void *_Nonnull x,
                  void *_Nonnull y);

// Sums of each number and those before it on its line, or of those before it only, or from the end on. The tensor is
// [][depth][inner], which makes a line of each of the outer and the inner indices.
struct eo_running_sums {
    enum eo_number type; // EO_S32, EO_S64, EO_F32
    size_t depth, inner;
    bool exclusive, reverse;
};
// The lines `first` to `end`.
void eo_running_sums(const struct eo_running_sums *_Nonnull sums, size_t first, size_t end, const void *_Nonnull x,
                     void *_Nonnull y);

#pragma GCC visibility pop
#endif
