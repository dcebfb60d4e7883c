#include "combine.h"

// So many lines side by side.
enum { TOGETHER = 8 };

// Whole numbers wrap.
#define RUNNING_SUMS(name, type)                                                                                       \
    static inline __attribute__((always_inline)) void name##_lines(const struct eo_running_sums *s,                    \
                                                                   const size_t lines, const type *x, type *y) {       \
        const bool exclusive = s->exclusive;                                                                           \
        type sums[TOGETHER] = {0};                                                                                     \
        _Pragma("clang loop unroll(disable)") for (size_t i = 0; i < s->depth; i++) {                                  \
            const size_t at = (s->reverse ? s->depth - 1 - i : i) * s->inner;                                          \
            for (size_t line = 0; line < lines; line++) {                                                              \
                const type before = sums[line], sum = before + x[at + line];                                           \
                y[at + line] = exclusive ? before : sum;                                                               \
                sums[line] = sum;                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void name(const struct eo_running_sums *s, bool together, size_t at, const void *x, void *y) {              \
        if (together)                                                                                                  \
            name##_lines(s, TOGETHER, (const type *)x + at, (type *)y + at);                                           \
        else                                                                                                           \
            name##_lines(s, 1, (const type *)x + at, (type *)y + at);                                                  \
    }
RUNNING_SUMS(of_singles, float)
RUNNING_SUMS(of_words, uint32_t)
RUNNING_SUMS(of_long_words, uint64_t)

void eo_running_sums(const struct eo_running_sums *s, size_t first, size_t end, const void *x, void *y) {
    while (first < end) {
        const size_t inner = first % s->inner, at = first / s->inner * s->depth * s->inner + inner;
        const bool together = end - first >= TOGETHER && s->inner - inner >= TOGETHER;
        (s->type == EO_F32 ? of_singles : s->type == EO_S32 ? of_words : of_long_words)(s, together, at, x, y);
        first += together ? TOGETHER : 1;
    }
}
