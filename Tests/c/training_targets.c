// Pruned, clustered and quantized in training, from C.
#include "test.h"

#include <math.h>
#include <stddef.h>

enum { BATCH = 16, SAMPLES = 20 };

static float images[BATCH * INPUTS];
static int32_t labels[BATCH];

// Gives `*left` samples.
static int next_sample(void *user, const void **data, size_t *sizes, int32_t input_count) {
    int *left = user;
    if (*left < 0 || input_count != 1) return -1;
    if (*left == 0) return 0;
    data[0] = images + (--*left % BATCH) * INPUTS;
    sizes[0] = INPUTS * sizeof(float);
    return 1;
}

static int next_wrong_sample(void *user, const void **data, size_t *sizes, int32_t input_count) {
    (void)user, (void)input_count;
    data[0] = images;
    sizes[0] = 3;
    return 1;
}

static void run_steps(eo_trainer *trainer, int count) {
    const void *inputs[1] = {images}, *answers[1] = {labels};
    const size_t input_sizes[1] = {sizeof images}, label_sizes[1] = {sizeof labels};
    eo_batch batch = EO_BATCH_INIT;
    batch.sample_count = BATCH;
    batch.inputs = inputs;
    batch.input_sizes = input_sizes;
    batch.labels = answers;
    batch.label_sizes = label_sizes;
    eo_batch_result result;
    for (int i = 0; i < count; i++) REQUIRE(eo_trainer_step(trainer, &batch, &result) == EO_OK);
}

static eo_model *trained(const eo_model *model, eo_trainer_options options) {
    options.batch_size = BATCH;
    eo_trainer *trainer = NULL;
    REQUIRE(eo_trainer_create(model, &options, &trainer) == EO_OK && trainer);
    run_steps(trainer, 10);
    eo_model *result = NULL;
    REQUIRE(eo_trainer_export(trainer, &result) == EO_OK && result);
    eo_trainer_destroy(trainer);
    return result;
}

// The weight tensor with most elements.
static eo_weight_statistics largest(const eo_model *model) {
    eo_weight_statistics most = {0}, found;
    for (int32_t i = 0; i < eo_model_tensor_count(model, 0); i++)
        if (eo_model_weight_statistics(model, 0, i, &found) == EO_OK && found.is_weight &&
            found.elements > most.elements)
            most = found;
    return most;
}

static eo_model *test_pruning(const eo_model *model) {
    eo_pruning_options pruning = EO_PRUNING_OPTIONS_INIT;
    pruning.sparsity = 0.75;
    eo_pruning_schedule schedule = EO_PRUNING_SCHEDULE_INIT;
    schedule.initial_sparsity = 0.2;
    schedule.end_step = 8;
    schedule.frequency = 3;
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.pruning = &pruning;
    options.pruning_schedule = &schedule;
    eo_model *pruned = trained(model, options);
    const eo_weight_statistics found = largest(pruned);
    CHECK(found.zeros == llround(0.75 * (double)found.elements));
    eo_trainer *trainer = NULL;
    schedule.end_step = -1;
    schedule.frequency = 0;
    CHECK(eo_trainer_create(model, &options, &trainer) == EO_INVALID_ARGUMENT && !trainer);
    return pruned;
}

static eo_model *test_clustering(const eo_model *pruned) {
    eo_clustering_options clustering = EO_CLUSTERING_OPTIONS_INIT;
    clustering.granularity = EO_CLUSTERS_PER_TENSOR;
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.clustering = &clustering;
    options.preserve_zeros = true;
    eo_model *clustered = trained(pruned, options);
    const eo_weight_statistics found = largest(clustered);
    CHECK(found.distinct <= 16 && found.zeros >= largest(pruned).zeros);
    return clustered;
}

// All of it in one training: zeros, few values, integers.
static void test_all_at_once(const eo_model *model, eo_cluster_granularity granularity) {
    eo_pruning_options pruning = EO_PRUNING_OPTIONS_INIT;
    pruning.sparsity = 0.5;
    eo_pruning_schedule schedule = EO_PRUNING_SCHEDULE_INIT;
    schedule.initial_sparsity = 0;
    schedule.end_step = 5;
    schedule.frequency = 2;
    eo_clustering_options clustering = EO_CLUSTERING_OPTIONS_INIT;
    clustering.clusters = 8;
    clustering.granularity = granularity;
    int left = SAMPLES;
    eo_training_quantization quantization = EO_TRAINING_QUANTIZATION_INIT;
    quantization.calibration = next_sample;
    quantization.calibration_user = &left;
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.pruning = &pruning;
    options.pruning_schedule = &schedule;
    options.clustering = &clustering;
    options.quantization = &quantization;
    eo_model *made = trained(model, options);
    const eo_weight_statistics found = largest(made);
    CHECK(found.distinct <= 8 && found.zeros >= llround(0.5 * (double)found.elements));
    CHECK(found.zeros < found.elements && found.greatest > found.least);
    eo_model_destroy(made);
    // A training that ends before its schedule is clustered, too.
    schedule.end_step = 1000;
    options.quantization = NULL;
    made = trained(model, options);
    CHECK(largest(made).distinct <= 8 * (granularity == EO_CLUSTERS_PER_TENSOR ? 1 : 1000));
    eo_model_destroy(made);
}

static void test_common_target(const eo_model *model) {
    eo_pruning_options pruning = EO_PRUNING_OPTIONS_INIT;
    pruning.sparsity = 0.75;
    pruning.global = pruning.first = true;
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.pruning = &pruning;
    eo_model *pruned = trained(model, options);
    int64_t zeros = 0, elements = 0;
    bool differ = false;
    eo_weight_statistics found;
    for (int32_t i = 0; i < eo_model_tensor_count(pruned, 0); i++) {
        if (eo_model_weight_statistics(pruned, 0, i, &found) != EO_OK || !found.is_weight) continue;
        zeros += found.zeros;
        elements += found.elements;
        differ = differ || found.zeros != llround(0.75 * (double)found.elements);
    }
    CHECK(zeros == llround(0.75 * (double)elements) && differ);
    eo_model_destroy(pruned);
}

static void test_quantization(const eo_model *clustered) {
    int left = SAMPLES;
    eo_training_quantization quantization = EO_TRAINING_QUANTIZATION_INIT;
    quantization.calibration = next_sample;
    quantization.calibration_user = &left;
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.batch_size = BATCH;
    options.preserve_zeros = options.preserve_clusters = true;
    options.quantization = &quantization;
    eo_trainer *trainer = NULL;
    REQUIRE(eo_trainer_create(clustered, &options, &trainer) == EO_OK && left == 0);
    run_steps(trainer, 10);
    eo_export_report report;
    left = SAMPLES;
    CHECK(eo_trainer_check_export(trainer, next_sample, &left, &report) == EO_OK);
    CHECK(report.samples == SAMPLES && report.same_top1 == SAMPLES && report.elements == SAMPLES * OUTPUTS);
    CHECK(report.equal + report.one_step == report.elements && report.largest_distance <= 1);
    CHECK(eo_trainer_check_export(trainer, NULL, NULL, &report) == EO_INVALID_ARGUMENT);
    CHECK(eo_trainer_check_export(trainer, next_wrong_sample, NULL, &report) != EO_OK);
    left = -1;
    CHECK(eo_trainer_check_export(trainer, next_sample, &left, &report) == EO_CANCELLED);
    eo_model *integer = NULL;
    REQUIRE(eo_trainer_export(trainer, &integer) == EO_OK && integer);
    const eo_weight_statistics found = largest(integer), before = largest(clustered);
    CHECK(found.distinct <= 16 && found.zeros >= before.zeros && found.zeros < found.elements);
    eo_model_destroy(integer);
    eo_trainer_destroy(trainer);
}

static void test_wrong_use(const eo_model *model) {
    int left = -1;
    eo_training_quantization quantization = EO_TRAINING_QUANTIZATION_INIT;
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.quantization = &quantization;
    eo_trainer *trainer = NULL;
    CHECK(eo_trainer_create(model, &options, &trainer) == EO_NO_CALIBRATION && !trainer);
    quantization.calibration = next_sample;
    quantization.calibration_user = &left;
    CHECK(eo_trainer_create(model, &options, &trainer) == EO_CANCELLED && !trainer);
    quantization.calibration = next_wrong_sample;
    CHECK(eo_trainer_create(model, &options, &trainer) == EO_WRONG_SIZE && !trainer);
    quantization.weight_bits_rule_count = 1;
    CHECK(eo_trainer_create(model, &options, &trainer) == EO_INVALID_ARGUMENT && !trainer);
    eo_layer_rule rule = {"*", NAN};
    quantization.weight_bits_rules = &rule;
    CHECK(eo_trainer_create(model, &options, &trainer) == EO_INVALID_ARGUMENT && !trainer);
    // An older header ends before all this.
    options.struct_size = offsetof(eo_trainer_options, pruning);
    REQUIRE(eo_trainer_create(model, &options, &trainer) == EO_OK);
    eo_export_report report;
    left = 1;
    CHECK(eo_trainer_check_export(trainer, next_sample, &left, &report) == EO_WRONG_STATE);
    eo_trainer_destroy(trainer);
}

int main(void) {
    fill(images, BATCH * INPUTS, 1);
    for (int i = 0; i < BATCH; i++) labels[i] = i % OUTPUTS;
    eo_model *model = open_model();
    eo_model *pruned = test_pruning(model);
    eo_model *clustered = test_clustering(pruned);
    test_quantization(clustered);
    test_all_at_once(model, EO_CLUSTERS_SCALED_CHANNELS);
    test_all_at_once(model, EO_CLUSTERS_PER_TENSOR);
    test_common_target(model);
    test_wrong_use(model);
    eo_model_destroy(clustered);
    eo_model_destroy(pruned);
    eo_model_destroy(model);
    return failures != 0;
}
