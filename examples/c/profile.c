// Where the time goes: which kernel runs each operator of a model, and how long it takes.
//
//   profile MODEL [THREADS]
#include <edgeopt.h>

#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 20 };

static int fail(void) {
    fprintf(stderr, "%s\n", eo_last_error());
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s MODEL [THREADS]\n", argv[0]);
        return 2;
    }
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.num_threads = argc > 2 ? atoi(argv[2]) : 1;

    eo_model *model;
    eo_interpreter *interpreter;
    if (eo_model_open(argv[1], &model) != EO_OK || eo_interpreter_create(model, &options, &interpreter) != EO_OK)
        return fail();

    // The first run touches memory for the first time; the times of the others are kept.
    if (eo_interpreter_invoke(interpreter) != EO_OK) return fail();
    eo_interpreter_set_profile(interpreter, true);
    for (int run = 0; run < RUNS; run++)
        if (eo_interpreter_invoke(interpreter) != EO_OK) return fail();

    printf("%s, %zu bytes of intermediate tensors\n", eo_isa(), eo_interpreter_arena_size(interpreter));
    printf("%-24s %-8s %10s  %s\n", "operator", "runs on", "us", "kernel");
    for (int32_t i = 0; i < eo_interpreter_operator_count(interpreter); i++) {
        eo_operator_report report;
        if (eo_interpreter_operator(interpreter, i, &report) != EO_OK) return fail();
        printf("%-24s %-8s %10.2f  %s\n", report.name, report.runner, (double)report.nanoseconds / 1e3 / RUNS,
               report.kernel);
    }
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
    return 0;
}
