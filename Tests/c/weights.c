// Packed-weight files and shared pools: the same results with and without them, from a damaged file too, and on the
// host's own threads.
#define _GNU_SOURCE
#include "test.h"

#include <pthread.h>
#include <unistd.h>

static float image[INPUTS], expected[OUTPUTS];

static void run(eo_interpreter *interpreter) {
    float scores[OUTPUTS] = {0};
    CHECK(eo_interpreter_bind_input(interpreter, 0, image, sizeof image) == EO_OK);
    CHECK(eo_interpreter_bind_output(interpreter, 0, scores, sizeof scores) == EO_OK);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    CHECK(memcmp(scores, expected, sizeof scores) == 0);
    CHECK(eo_interpreter_bind_output(interpreter, 0, NULL, 0) == EO_OK);
}

static void count_warning(void *user, eo_log_level level, const char *text) {
    (void)text;
    if (level == EO_LOG_WARNING) ++*(int *)user;
}

// Compiles a freshly opened model with the file at `path`; returns the number of warnings.
static int compile_with(const char *path) {
    int warnings = 0;
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.weight_cache = path;
    options.log = count_warning;
    options.log_user = &warnings;
    eo_model *model = open_model();
    eo_interpreter *interpreter = create(model, &options);
    run(interpreter);
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
    return warnings;
}

static void weight_files(void) {
    char path[] = "/tmp/edgeopt-weights-XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
    CHECK(compile_with(path) == 1); // the empty file is no packed-weight file
    CHECK(compile_with(path) == 0);
    CHECK(truncate(path, 100) == 0);
    CHECK(compile_with(path) == 1);
    CHECK(compile_with(path) == 0);
    unlink(path);
    CHECK(compile_with(path) == 0);
    unlink(path);
    CHECK(compile_with("/nowhere/at/all") == 1);
}

struct host {
    int loops;
};

static void parallel_for(void *user, size_t count, eo_task task, void *context) {
    __atomic_fetch_add(&((struct host *)user)->loops, 1, __ATOMIC_RELAXED);
    for (size_t i = count; i-- > 0;) task(context, i);
}

static eo_model *model;

static void *run_often(void *pool) {
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.thread_pool = pool;
    eo_interpreter *interpreter = create(model, &options);
    for (int i = 0; i < 100; i++) run(interpreter);
    CHECK(eo_interpreter_set_num_threads(interpreter, 2) == EO_WRONG_STATE);
    eo_interpreter_destroy(interpreter);
    return NULL;
}

static void pools(void) {
    struct host host = {0};
    eo_thread_pool_options options = EO_THREAD_POOL_OPTIONS_INIT;
    options.num_threads = 3;
    eo_thread_pool *pool = NULL;
    REQUIRE(eo_thread_pool_create(&options, &pool) == EO_OK && pool);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) REQUIRE(pthread_create(&threads[i], NULL, run_often, pool) == 0);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    eo_thread_pool_destroy(pool);

    options.parallel_for = parallel_for;
    options.user = &host;
    REQUIRE(eo_thread_pool_create(&options, &pool) == EO_OK);
    run_often(pool);
    eo_thread_pool_destroy(pool);

    options.num_threads = -1;
    CHECK(eo_thread_pool_create(&options, &pool) == EO_INVALID_ARGUMENT && !pool);
    CHECK(eo_thread_pool_create(&options, NULL) == EO_INVALID_ARGUMENT);
    eo_thread_pool_destroy(NULL);
}

int main(void) {
    fill(image, INPUTS, 1);
    model = open_model();
    eo_interpreter *interpreter = create(model, NULL);
    CHECK(eo_interpreter_bind_input(interpreter, 0, image, sizeof image) == EO_OK);
    CHECK(eo_interpreter_bind_output(interpreter, 0, expected, sizeof expected) == EO_OK);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    eo_interpreter_destroy(interpreter);
    weight_files();
    pools();
    eo_model_destroy(model);
    return failures != 0;
}
