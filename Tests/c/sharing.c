// One model, many threads: each has its own interpreter, all give the same bits; any thread may cancel.
#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>

enum { THREADS = 4, RUNS = 25 };

static eo_model *model;
static float expected[RUNS][OUTPUTS];

static void run_all(float results[RUNS][OUTPUTS], int threads) {
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.num_threads = threads;
    eo_interpreter *interpreter = create(model, &options);
    float image[INPUTS];
    for (int run = 0; run < RUNS; run++) {
        fill(image, INPUTS, (unsigned)run);
        CHECK(eo_interpreter_bind_input(interpreter, 0, image, sizeof image) == EO_OK);
        CHECK(eo_interpreter_bind_output(interpreter, 0, results[run], sizeof results[run]) == EO_OK);
        CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    }
    eo_interpreter_destroy(interpreter);
}

static void *work(void *argument) {
    int threads = *(int *)argument;
    float results[RUNS][OUTPUTS];
    run_all(results, threads);
    eo_tensor tensor; // looking at the shared model at the same time
    for (int32_t i = 0; i < eo_model_tensor_count(model, 0); i++)
        CHECK(eo_model_tensor(model, 0, i, &tensor) == EO_OK && tensor.name);
    CHECK(memcmp(results, expected, sizeof expected) == 0);
    // The sentence of a failure belongs to its thread.
    CHECK(eo_interpreter_invoke(NULL) == EO_INVALID_ARGUMENT && strlen(eo_last_error()) > 0);
    return NULL;
}

static void *cancel(void *interpreter) {
    for (int i = 0; i < 100; i++) eo_interpreter_cancel(interpreter);
    return NULL;
}

int main(void) {
    model = open_model();
    run_all(expected, 1);
    pthread_t threads[THREADS];
    int counts[THREADS] = {1, 2, 1, 3};
    for (int i = 0; i < THREADS; i++) REQUIRE(pthread_create(&threads[i], NULL, work, &counts[i]) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);

    eo_interpreter *interpreter = create(model, NULL);
    REQUIRE(pthread_create(&threads[0], NULL, cancel, interpreter) == 0);
    int cancelled = 0;
    for (int i = 0; i < 50; i++) {
        eo_status status = eo_interpreter_invoke(interpreter);
        CHECK(status == EO_OK || status == EO_CANCELLED);
        cancelled += status == EO_CANCELLED;
    }
    pthread_join(threads[0], NULL);
    cancelled += eo_interpreter_invoke(interpreter) == EO_CANCELLED;
    CHECK(cancelled > 0);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
    return failures != 0;
}
