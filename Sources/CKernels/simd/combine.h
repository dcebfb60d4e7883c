// The loops of combine.h, compiled once for each instruction set: COMBINE is the function's name, LOOPS what the
// compiler shall do with its loops. The output may be an input, element by element.
#include "../include/combine.h"

#define LOOP(how, function, number, type_a, type, result, expression)                                                  \
    case function << 3 | number: {                                                                                     \
        const type_a *a = a_;                                                                                          \
        const type *b = b_;                                                                                            \
        result *y = y_;                                                                                                \
        (void)b;                                                                                                       \
        _Pragma(how) for (size_t i = 0; i < n; i++) y[i] = (result)(expression);                                       \
        return;                                                                                                        \
    }
#define MIXED(function, number, type_a, type, result, expression)                                                      \
    LOOP(LOOPS, function, number, type_a, type, result, expression)
// What vectors of 256 bits have no instructions for.
#define SINGLE(function, number, type, result, expression)                                                             \
    LOOP("clang loop vectorize(disable) unroll(disable)", function, number, type, type, result, expression)
#define CASE(function, number, type, result, expression) MIXED(function, number, type, type, result, expression)
#define COMPARE(function, number, type, expression) CASE(function, number, type, uint8_t, (expression) ^ inverts)
// Both are read: vectors of bytes have no loads by masks.
#define MASK(type) ((type) - (type)(condition[i] != 0))
#define CHOOSE(number, type) CASE(EO_CHOOSE, number, type, type, (a[i] & MASK(type)) | (b[i] & (type)~MASK(type)))
// Cut off; what is too large, or NaN, is the greatest number.
#define CUT(type, least, limit, greatest) (a[i] < limit ? a[i] > least ? (type)a[i] : (type)least : greatest)
// Products of 16 bits would be signed numbers that overflow.
#define WHOLE(number, type, sign)                                                                                      \
    CASE(EO_ADD, number, type, type, a[i] + b[i])                                                                      \
    CASE(EO_SUBTRACT, number, type, type, a[i] - b[i])                                                                 \
    CASE(EO_MULTIPLY, number, type, type, 1u * a[i] * b[i])                                                            \
    CASE(EO_MINIMUM, number, sign, sign, a[i] < b[i] ? a[i] : b[i])                                                    \
    CASE(EO_MAXIMUM, number, sign, sign, a[i] > b[i] ? a[i] : b[i])                                                    \
    COMPARE(EO_EQUAL, number, type, a[i] == b[i])                                                                      \
    COMPARE(EO_LESS, number, sign, a[i] < b[i])

void COMBINE(const struct eo_combination *c, enum eo_function function, size_t n, const void *a_, const void *b_,
             void *y_) {
    const bool inverts = c->inverts;
    const uint8_t *condition = c->condition;
    switch ((unsigned)function << 3 | c->type) {
        WHOLE(EO_S16, uint16_t, int16_t)
        WHOLE(EO_S32, uint32_t, int32_t)
        WHOLE(EO_S64, uint64_t, int64_t)
        MIXED(EO_ADD_LONG, EO_S64, int32_t, uint64_t, uint64_t, (uint64_t)a[i] + b[i])
        COMPARE(EO_EQUAL, EO_F32, float, a[i] == b[i])
        COMPARE(EO_LESS, EO_F32, float, a[i] < b[i])
        COMPARE(EO_LESS_EQUAL, EO_F32, float, a[i] <= b[i])
        COMPARE(EO_EQUAL, EO_U8, uint8_t, (a[i] != 0) == (b[i] != 0))
        COMPARE(EO_BOTH, EO_U8, uint8_t, ((a[i] != 0) ^ inverts) & ((b[i] != 0) ^ inverts))
        CHOOSE(EO_U8, uint8_t)
        CHOOSE(EO_S16, uint16_t)
        CHOOSE(EO_S32, uint32_t)
        CHOOSE(EO_S64, uint64_t)
        CASE(EO_TO_BOOL, EO_F32, float, uint8_t, a[i] != 0)
        CASE(EO_TO_U8, EO_F32, float, uint8_t, CUT(uint8_t, 0, 255, 255))
        CASE(EO_TO_S32, EO_F32, float, int32_t, CUT(int32_t, -0x1p31f, 0x1p31f, INT32_MAX))
        SINGLE(EO_TO_S64, EO_F32, float, int64_t, CUT(int64_t, -0x1p63f, 0x1p63f, INT64_MAX))
        CASE(EO_TO_S32, EO_S64, int64_t, int32_t, a[i])
        CASE(EO_TO_S64, EO_S32, int32_t, int64_t, a[i])
        CASE(EO_TO_F32, EO_U8, uint8_t, float, a[i] != 0)
        CASE(EO_TO_F32, EO_S32, int32_t, float, a[i])
        SINGLE(EO_TO_F32, EO_S64, int64_t, float, a[i])
    }
}

#undef LOOP
#undef MIXED
#undef SINGLE
#undef CASE
#undef COMPARE
#undef MASK
#undef CHOOSE
#undef CUT
#undef WHOLE
