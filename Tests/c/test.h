// What every test here needs: CHECK, and the model they run.
#ifndef TEST_H
#define TEST_H

#include <edgeopt.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, eo_last_error());          \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

// Ends the test where going on makes no sense.
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        CHECK(condition);                                                                                              \
        if (failures) exit(1);                                                                                         \
    } while (0)

// A float network of 8x8 images to 10 scores, in the project's own examples.
#define MODEL "examples/digits/digits_float32.tflite"
enum { INPUTS = 8 * 8, OUTPUTS = 10 };

static inline eo_model *open_model(void) {
    eo_model *model = NULL;
    REQUIRE(eo_model_open(MODEL, &model) == EO_OK && model);
    return model;
}

static inline eo_interpreter *create(const eo_model *model, const eo_interpreter_options *options) {
    eo_interpreter *interpreter = NULL;
    REQUIRE(eo_interpreter_create(model, options, &interpreter) == EO_OK && interpreter);
    return interpreter;
}

static inline void fill(float *values, int count, unsigned seed) {
    for (int i = 0; i < count; i++) {
        seed = seed * 1103515245u + 12345u;
        values[i] = (float)(seed >> 16 & 255) / 16.0f;
    }
}

#endif
