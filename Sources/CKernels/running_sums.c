#include "combine.h"

#include <string.h>

// So many lines side by side.
enum { TOGETHER = 8 };

// Of one line, or of TOGETHER, whose first numbers are neighbours. Whole numbers wrap.
#define LINES(name, type, vector)                                                                                      \
    static void name(const struct eo_running_sums *s, const char *x, char *y) {                                        \
        const size_t step = s->inner * sizeof(type), depth = s->depth;                                                 \
        const bool exclusive = s->exclusive, reverse = s->reverse;                                                     \
        vector sum = 0;                                                                                                \
        _Pragma("clang loop unroll(disable)") for (size_t i = 0; i < depth; i++) {                                     \
            const size_t at = (reverse ? depth - 1 - i : i) * step;                                                    \
            const vector before = sum;                                                                                 \
            vector next;                                                                                               \
            memcpy(&next, x + at, sizeof next);                                                                        \
            sum += next;                                                                                               \
            next = exclusive ? before : sum;                                                                           \
            memcpy(y + at, &next, sizeof next);                                                                        \
        }                                                                                                              \
    }
#define RUNNING_SUMS(name, type)                                                                                       \
    typedef type name##_vector __attribute__((ext_vector_type(TOGETHER)));                                             \
    LINES(one_##name, type, type)                                                                                      \
    LINES(many_##name, type, name##_vector)
RUNNING_SUMS(f32, float)
RUNNING_SUMS(s32, uint32_t)
RUNNING_SUMS(s64, uint64_t)

typedef void lines_function(const struct eo_running_sums *s, const char *x, char *y);

void eo_running_sums(const struct eo_running_sums *s, size_t first, size_t end, const void *x, void *y) {
    lines_function *one = s->type == EO_F32 ? one_f32 : s->type == EO_S32 ? one_s32 : one_s64;
    lines_function *many = s->type == EO_F32 ? many_f32 : s->type == EO_S32 ? many_s32 : many_s64;
    while (first < end) {
        const size_t inner = first % s->inner, at = first / s->inner * s->depth * s->inner + inner;
        const size_t lines = end - first >= TOGETHER && s->inner - inner >= TOGETHER ? TOGETHER : 1;
        const size_t offset = at * (s->type == EO_S64 ? 8 : 4);
        (lines == 1 ? one : many)(s, (const char *)x + offset, (char *)y + offset);
        first += lines;
    }
}
