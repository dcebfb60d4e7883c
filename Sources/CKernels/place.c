#include "elementwise.h"

// A NaN never wins, and loses to any number.
#define PLACE(name, type)                                                                                              \
    static size_t name(size_t n, size_t inner, bool least, const void *x_) {                                           \
        const type *x = x_;                                                                                            \
        type best = *x;                                                                                                \
        size_t place = 0;                                                                                              \
        _Pragma("clang loop unroll(disable) vectorize(disable)") for (size_t i = 1; i < n; i++) {                      \
            const type v = x[i * inner];                                                                               \
            const bool better = (least ? v < best : v > best) | ((best != best) & (v == v));                           \
            best = better ? v : best;                                                                                  \
            place = better ? i : place;                                                                                \
        }                                                                                                              \
        return place;                                                                                                  \
    }
PLACE(place_s8, int8_t)
PLACE(place_u8, uint8_t)
PLACE(place_s16, int16_t)
PLACE(place_s32, int32_t)
PLACE(place_s64, int64_t)
PLACE(place_f32, float)
PLACE(place_f64, double)

void eo_place(const struct eo_greatest_place *search, enum eo_number type, size_t inner, bool least, const void *x,
              void *places) {
    static size_t (*const functions[])(size_t, size_t, bool, const void *) = {
        [EO_S8] = place_s8,   [EO_U8] = place_u8,   [EO_S16] = place_s16, [EO_S32] = place_s32,
        [EO_S64] = place_s64, [EO_F32] = place_f32, [EO_F64] = place_f64,
    };
    static const unsigned char sizes[] = {
        [EO_S8] = 1, [EO_U8] = 1, [EO_S16] = 2, [EO_S32] = 4, [EO_S64] = 8, [EO_F32] = 4, [EO_F64] = 8,
    };
    for (size_t row = 0, to = 0; row < search->rows; row++)
        for (size_t i = 0; i < inner; i++, to++) {
            const char *first = (const char *)x + (row * search->stride + i) * sizes[type];
            const size_t place = functions[type](search->n, inner, least, first);
            if (search->wide)
                ((int64_t *)places)[to] = (int64_t)place;
            else
                ((int32_t *)places)[to] = (int32_t)place;
        }
}
