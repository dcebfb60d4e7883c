// The loops of combine.h, compiled once for each instruction set: COMBINE is the function's name, LOOPS what the
// compiler shall do with its loops. The output may be an input, element by element.
#include "../include/combine.h"

#define MIXED(function, number, type_a, type, result, expression)                                                      \
    case function << 3 | number: {                                                                                     \
        const type_a *a = a_;                                                                                          \
        const type *b = b_;                                                                                            \
        result *y = y_;                                                                                                \
        _Pragma(LOOPS) for (size_t i = 0; i < n; i++) y[i] = (result)(expression);                                     \
        return;                                                                                                        \
    }
#define CASE(function, number, type, result, expression) MIXED(function, number, type, type, result, expression)
#define COMPARE(function, number, type, expression) CASE(function, number, type, uint8_t, (expression) ^ inverts)
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
    }
}

#undef MIXED
#undef CASE
#undef COMPARE
#undef WHOLE
