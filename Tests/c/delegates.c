// A delegate in C that fails at each of its entry points in turn: the results stay those of the CPU, and the report
// says why.
#include "test.h"

enum point { NOWHERE, SUPPORTS, PREPARE, INVOKE, WAIT, RESIZE };

// Takes SOFTMAX and computes it the plain way.
struct state {
    enum point failing;
    int prepared, released, invoked, resized;
};

struct kernel {
    int32_t rows, columns;
};

static bool supports(void *user, const eo_model *model, int32_t subgraph, int32_t index, const eo_tensor *inputs,
                     int32_t input_count, const eo_tensor *outputs, int32_t output_count, char *reason,
                     size_t reason_size) {
    struct state *state = user;
    eo_operator op;
    CHECK(eo_model_operator(model, subgraph, index, &op) == EO_OK);
    CHECK(input_count == op.input_count && output_count == op.output_count);
    CHECK(outputs[0].rank >= 0 && inputs[0].name);
    bool is_taken = strcmp(op.name, "SOFTMAX") == 0 && state->failing != SUPPORTS;
    if (!is_taken) snprintf(reason, reason_size, "%s is left alone", op.name);
    return is_taken;
}

static void set_shape(struct kernel *kernel, const eo_partition *partition) {
    CHECK(partition->struct_size == sizeof *partition && partition->operator_count == 1);
    CHECK(partition->input_count == 1 && partition->output_count == 1 && partition->num_threads == 1);
    kernel->rows = partition->inputs[0].shape[0];
    kernel->columns = partition->inputs[0].shape[1];
}

static eo_status prepare(void *user, const eo_partition *partition, void **result, char *reason, size_t reason_size) {
    struct state *state = user;
    if (state->failing == PREPARE) {
        snprintf(reason, reason_size, "not today");
        return EO_DELEGATE_ERROR;
    }
    struct kernel *kernel = malloc(sizeof *kernel);
    set_shape(kernel, partition);
    *result = kernel;
    state->prepared++;
    return EO_OK;
}

static double exponential(double x) { // by its series, halved often enough
    double term = 1, sum = 1;
    x /= 1024;
    for (int i = 1; i < 12; i++) sum += term *= x / i;
    for (int i = 0; i < 10; i++) sum *= sum;
    return sum;
}

static eo_status invoke(void *user, void *object, const eo_buffer *inputs, const eo_buffer *outputs) {
    struct state *state = user;
    struct kernel *kernel = object;
    if (state->failing == INVOKE) return EO_DELEGATE_ERROR;
    state->invoked++;
    CHECK(inputs[0].kind == EO_BUFFER_HOST &&
          inputs[0].size == sizeof(float) * (size_t)(kernel->rows * kernel->columns));
    for (int32_t row = 0; row < kernel->rows; row++) {
        const float *x = (const float *)inputs[0].data + row * kernel->columns;
        float *y = (float *)outputs[0].data + row * kernel->columns;
        double sum = 0, top = x[0];
        for (int32_t i = 0; i < kernel->columns; i++) top = x[i] > top ? x[i] : top;
        for (int32_t i = 0; i < kernel->columns; i++) sum += exponential(x[i] - top);
        for (int32_t i = 0; i < kernel->columns; i++) y[i] = (float)(exponential(x[i] - top) / sum);
    }
    return EO_OK;
}

static eo_status wait(void *user, void *object) {
    (void)object;
    return ((struct state *)user)->failing == WAIT ? EO_DELEGATE_ERROR : EO_OK;
}

static eo_status resize(void *user, void *object, const eo_partition *partition, char *reason, size_t reason_size) {
    struct state *state = user;
    if (state->failing == RESIZE) {
        snprintf(reason, reason_size, "too big");
        return EO_DELEGATE_ERROR;
    }
    state->resized++;
    set_shape(object, partition);
    return EO_OK;
}

static void release(void *user, void *object) {
    ((struct state *)user)->released++;
    free(object);
}

static int warnings;
static void log_message(void *user, eo_log_level level, const char *text) {
    CHECK(user == &warnings && strlen(text) > 0);
    warnings += level == EO_LOG_WARNING;
}

static bool near(const float *a, const float *b, int count) {
    for (int i = 0; i < count; i++)
        if (a[i] - b[i] > 1e-5f || b[i] - a[i] > 1e-5f) return false;
    return true;
}

static void run(const eo_model *model, enum point failing) {
    struct state state = {.failing = failing};
    const eo_delegate delegate = {sizeof delegate, EO_DELEGATE_ABI, "plain", &state, supports, prepare,
                                  invoke,          release,         resize,  wait,   NULL,     NULL};
    const eo_delegate *delegates[] = {&delegate};
    eo_interpreter_options options = EO_INTERPRETER_OPTIONS_INIT;
    options.delegates = delegates;
    options.delegate_count = 1;
    options.log = log_message;
    options.log_user = &warnings;
    warnings = 0;
    eo_interpreter *interpreter = create(model, &options), *cpu = create(model, NULL);
    float images[2 * INPUTS], scores[2 * OUTPUTS], expected[2 * OUTPUTS];
    fill(images, 2 * INPUTS, 3);
    for (int batch = 1; batch <= 2; batch++) {
        const int32_t shape[] = {batch, 8, 8, 1};
        REQUIRE(eo_interpreter_resize_input(interpreter, 0, shape, 4) == EO_OK);
        REQUIRE(eo_interpreter_resize_input(cpu, 0, shape, 4) == EO_OK);
        size_t in = (size_t)batch * INPUTS * sizeof(float), out = (size_t)batch * OUTPUTS * sizeof(float);
        CHECK(eo_interpreter_bind_input(interpreter, 0, images, in) == EO_OK);
        CHECK(eo_interpreter_bind_input(cpu, 0, images, in) == EO_OK);
        CHECK(eo_interpreter_bind_output(interpreter, 0, scores, out) == EO_OK);
        CHECK(eo_interpreter_bind_output(cpu, 0, expected, out) == EO_OK);
        memset(scores, 0, sizeof scores);
        CHECK(eo_interpreter_invoke(cpu) == EO_OK);
        CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
        CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
        CHECK(near(scores, expected, batch * OUTPUTS));
    }
    int32_t last = eo_interpreter_operator_count(interpreter) - 1;
    eo_operator_report report;
    CHECK(eo_interpreter_operator(interpreter, last, &report) == EO_OK);
    CHECK(strcmp(report.name, "SOFTMAX") == 0);
    CHECK(strcmp(report.runner, failing == NOWHERE ? "plain" : "CPU") == 0);
    CHECK((report.partition == 0) == (failing == NOWHERE));
    CHECK((strlen(report.reason) > 0) == (failing != NOWHERE));
    CHECK(eo_interpreter_operator(interpreter, 0, &report) == EO_OK && strstr(report.reason, "is left alone"));
    CHECK((warnings > 0) == (failing != NOWHERE && failing != SUPPORTS));
    if (failing == NOWHERE) CHECK(state.invoked == 4 && state.resized == 1 && state.prepared == 1);
    eo_interpreter_destroy(interpreter);
    eo_interpreter_destroy(cpu);
    CHECK(state.prepared == state.released);
}

int main(void) {
    eo_model *model = open_model();
    for (enum point failing = NOWHERE; failing <= RESIZE; failing++) {
        run(model, failing);
        if (failures) return fprintf(stderr, "failing point %d\n", failing), 1;
    }
    eo_model_destroy(model);
    return 0;
}
