// Training from C: steps, evaluation, checkpoints, export, wrong use.
#define _GNU_SOURCE
#include "test.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BATCH = 16 };

static float images[BATCH * INPUTS];
static int32_t labels[BATCH];
static const void *inputs[1] = {images}, *answers[1] = {labels};
static const size_t input_sizes[1] = {sizeof images}, label_sizes[1] = {sizeof labels};

static eo_batch make_batch(void) {
    eo_batch batch = EO_BATCH_INIT;
    batch.sample_count = BATCH;
    batch.inputs = inputs;
    batch.input_sizes = input_sizes;
    batch.labels = answers;
    batch.label_sizes = label_sizes;
    return batch;
}

static eo_trainer *make_trainer(const eo_model *model) {
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.batch_size = BATCH;
    options.learning_rate = 0.003f;
    eo_trainer *trainer = NULL;
    REQUIRE(eo_trainer_create(model, &options, &trainer) == EO_OK && trainer);
    return trainer;
}

static void test_description(eo_trainer *trainer) {
    eo_tensor tensor;
    CHECK(eo_trainer_input_count(trainer) == 1 && eo_trainer_label_count(trainer) == 1);
    CHECK(eo_trainer_output_count(trainer) == 1 && eo_trainer_input_count(NULL) == 0);
    CHECK(eo_trainer_input(trainer, 0, &tensor) == EO_OK && tensor.shape[0] == BATCH && tensor.size == sizeof images);
    CHECK(eo_trainer_label(trainer, 0, &tensor) == EO_OK && tensor.type == EO_INT32 && tensor.size == sizeof labels);
    CHECK(eo_trainer_output(trainer, 0, &tensor) == EO_OK && tensor.shape[1] == OUTPUTS);
    CHECK(eo_trainer_input(trainer, 1, &tensor) == EO_OUT_OF_RANGE);
}

static void test_steps(eo_trainer *trainer) {
    const eo_batch batch = make_batch();
    eo_batch_result first, result;
    CHECK(eo_trainer_evaluate(trainer, &batch, &first) == EO_OK && first.counted == BATCH);
    for (int i = 0; i < 30; i++) CHECK(eo_trainer_step(trainer, &batch, &result) == EO_OK);
    CHECK(result.loss < first.loss / 2 && result.gradient_norm > 0 && result.learning_rate == 0.003f);
    CHECK(eo_trainer_steps(trainer) == 30);
    CHECK(eo_trainer_set_learning_rate(trainer, 0.001f) == EO_OK && eo_trainer_learning_rate(trainer) == 0.001f);
    CHECK(eo_trainer_set_learning_rate(trainer, NAN) == EO_INVALID_ARGUMENT);
    CHECK(eo_trainer_observe(trainer, &batch) == EO_OK && eo_trainer_steps(trainer) == 30);
}

static void test_parameters(eo_trainer *trainer) {
    eo_tensor tensor;
    CHECK(eo_trainer_parameter_count(trainer) > 3);
    CHECK(eo_trainer_parameter(trainer, 0, &tensor) == EO_OK && tensor.data && tensor.size > 0);
    CHECK(eo_trainer_parameter_index(trainer, tensor.name) == 0 && eo_trainer_parameter_index(trainer, "?") == -1);
    const size_t size = tensor.size;
    float *values = malloc(size);
    REQUIRE(values != NULL);
    memcpy(values, tensor.data, size);
    values[0] += 1;
    CHECK(eo_trainer_set_parameter(trainer, 0, values, size) == EO_OK);
    CHECK(eo_trainer_parameter(trainer, 0, &tensor) == EO_OK && *(const float *)tensor.data == values[0]);
    CHECK(eo_trainer_set_parameter(trainer, 0, values, size - 4) == EO_WRONG_SIZE);
    CHECK(eo_trainer_set_parameter(trainer, -1, values, size) == EO_OUT_OF_RANGE);
    free(values);
}

// An interpreter of the exported model computes what the trainer predicts.
static void test_export(eo_trainer *trainer) {
    eo_batch batch = make_batch();
    batch.sample_count = 1;
    const size_t size = sizeof(float) * INPUTS;
    batch.input_sizes = &size;
    float predicted[OUTPUTS], computed[OUTPUTS];
    void *outputs[1] = {predicted};
    const size_t output_sizes[1] = {sizeof predicted};
    CHECK(eo_trainer_predict(trainer, &batch, outputs, output_sizes) == EO_OK);
    eo_model *model = NULL;
    REQUIRE(eo_trainer_export(trainer, &model) == EO_OK && model);
    eo_interpreter *interpreter = create(model, NULL);
    CHECK(eo_interpreter_bind_input(interpreter, 0, images, size) == EO_OK);
    CHECK(eo_interpreter_bind_output(interpreter, 0, computed, sizeof computed) == EO_OK);
    CHECK(eo_interpreter_invoke(interpreter) == EO_OK);
    for (int i = 0; i < OUTPUTS; i++) CHECK(fabsf(predicted[i] - computed[i]) < 1e-5f);
    eo_interpreter_destroy(interpreter);
    eo_model_destroy(model);
}

static void test_checkpoint(const eo_model *model, eo_trainer *trainer) {
    char path[] = "/tmp/edgeopt-training-XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
    CHECK(eo_trainer_save(trainer, path, "here", 4) == EO_OK);
    eo_trainer *other = make_trainer(model);
    void *position = NULL;
    size_t size = 0;
    CHECK(eo_trainer_restore(other, path, &position, &size) == EO_OK && size == 4 && !memcmp(position, "here", 4));
    eo_free(position);
    const eo_batch batch = make_batch();
    eo_batch_result a, b;
    CHECK(eo_trainer_step(trainer, &batch, &a) == EO_OK && eo_trainer_step(other, &batch, &b) == EO_OK);
    CHECK(a.loss == b.loss && a.gradient_norm == b.gradient_norm);
    // A disk that is full after 1000 bytes: a sentence, and the checkpoint before is whole.
    const struct rlimit full = {1000, RLIM_INFINITY}, free_again = {RLIM_INFINITY, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &full) == 0);
    CHECK(eo_trainer_save(trainer, path, NULL, 0) == EO_FILE_ERROR && strstr(eo_last_error(), path));
    CHECK(setrlimit(RLIMIT_FSIZE, &free_again) == 0);
    CHECK(eo_trainer_restore(other, path, NULL, &size) == EO_OK && size == 4);
    eo_trainer_destroy(other);
    CHECK(truncate(path, 100) == 0);
    CHECK(eo_trainer_restore(trainer, path, NULL, NULL) == EO_FILE_ERROR);
    unlink(path);
    CHECK(eo_trainer_restore(trainer, path, NULL, NULL) == EO_FILE_ERROR);
}

// The squared error, as a host would compute it.
static int host_loss(void *user, const float *const *outputs, float *const *gradients, int32_t sample_count,
                     float *loss) {
    const int count = sample_count * OUTPUTS;
    *loss = 0;
    for (int i = 0; i < count; i++) {
        *loss += outputs[0][i] * outputs[0][i] / (float)count;
        gradients[0][i] = 2 * outputs[0][i] / (float)count;
    }
    return ++*(int *)user > 3;
}

static void test_host_loss(const eo_model *model) {
    int calls = 0;
    eo_loss_term term = EO_LOSS_TERM_INIT;
    term.loss = EO_LOSS_HOST;
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.batch_size = BATCH;
    options.losses = &term;
    options.loss_count = 1;
    eo_trainer *trainer = NULL;
    CHECK(eo_trainer_create(model, &options, &trainer) == EO_INVALID_ARGUMENT && !trainer);
    options.host_loss = host_loss;
    options.host_user = &calls;
    options.optimizer = EO_OPTIMIZER_SGD;
    options.learning_rate = 0.001f;
    REQUIRE(eo_trainer_create(model, &options, &trainer) == EO_OK);
    CHECK(eo_trainer_label_count(trainer) == 0);
    const eo_batch batch = make_batch();
    eo_batch_result first, result;
    CHECK(eo_trainer_step(trainer, &batch, &first) == EO_OK);
    CHECK(eo_trainer_step(trainer, &batch, &result) == EO_OK);
    CHECK(eo_trainer_step(trainer, &batch, &result) == EO_OK && result.loss < first.loss && calls == 3);
    CHECK(eo_trainer_step(trainer, &batch, &result) == EO_CANCELLED && eo_trainer_steps(trainer) == 3);
    eo_trainer_destroy(trainer);
}

static void test_wrong_use(const eo_model *model, eo_trainer *trainer) {
    eo_batch batch = make_batch();
    eo_batch_result result;
    CHECK(eo_trainer_create(NULL, NULL, &trainer) == EO_INVALID_ARGUMENT && !trainer);
    eo_trainer_destroy(NULL);
    trainer = make_trainer(model);
    CHECK(eo_trainer_step(trainer, NULL, &result) == EO_INVALID_ARGUMENT);
    CHECK(eo_trainer_step(NULL, &batch, &result) == EO_INVALID_ARGUMENT);
    labels[3] = 10;
    CHECK(eo_trainer_step(trainer, &batch, &result) == EO_OUT_OF_RANGE && strstr(eo_last_error(), "sample 3"));
    labels[3] = 3;
    images[7] = NAN;
    CHECK(eo_trainer_step(trainer, &batch, &result) == EO_EXECUTION_ERROR);
    images[7] = 1;
    batch.labels = NULL;
    CHECK(eo_trainer_step(trainer, &batch, &result) == EO_INVALID_ARGUMENT);
    batch.labels = answers;
    batch.sample_count = -1;
    CHECK(eo_trainer_step(trainer, &batch, &result) == EO_WRONG_SIZE);
    CHECK(eo_trainer_predict(trainer, &batch, NULL, NULL) != EO_OK);
    CHECK(eo_trainer_steps(trainer) == 0);
    eo_trainer_destroy(trainer);
}

int main(void) {
    fill(images, BATCH * INPUTS, 1);
    for (int i = 0; i < BATCH; i++) labels[i] = i % OUTPUTS;
    eo_model *model = open_model();
    eo_trainer *trainer = make_trainer(model);
    test_description(trainer);
    test_steps(trainer);
    test_parameters(trainer);
    test_export(trainer);
    test_checkpoint(model, trainer);
    eo_trainer_destroy(trainer);
    test_host_loss(model);
    test_wrong_use(model, NULL);
    eo_model_destroy(model);
    return failures != 0;
}
