// Pruning, clustering and what the weights are like afterwards, through the library that ships.
#include "test.h"

// The weight tensor with most elements.
static eo_weight_statistics largest(const eo_model *model, int32_t *tensor) {
    eo_weight_statistics most = {0}, found;
    for (int32_t i = 0; i < eo_model_tensor_count(model, 0); i++)
        if (eo_model_weight_statistics(model, 0, i, &found) == EO_OK && found.is_weight &&
            found.elements > most.elements) {
            most = found;
            *tensor = i;
        }
    REQUIRE(most.elements > 0);
    return most;
}

static void run(const eo_model *model, float *scores) {
    eo_interpreter *interpreter = create(model, NULL);
    float image[INPUTS];
    fill(image, INPUTS, 5);
    REQUIRE(eo_interpreter_bind_input(interpreter, 0, image, sizeof image) == EO_OK);
    REQUIRE(eo_interpreter_bind_output(interpreter, 0, scores, OUTPUTS * sizeof *scores) == EO_OK);
    REQUIRE(eo_interpreter_invoke(interpreter) == EO_OK);
    eo_interpreter_destroy(interpreter);
}

static void pruning(const eo_model *model) {
    eo_pruning_options options = EO_PRUNING_OPTIONS_INIT;
    eo_model *pruned, *sparse;
    int32_t tensor;
    options.sparsity = 0.75;
    REQUIRE(eo_prune(model, &options, &pruned) == EO_OK);
    eo_weight_statistics found = largest(pruned, &tensor);
    CHECK(found.zeros == (found.elements * 3 + 2) / 4);

    float dense[OUTPUTS], stored[OUTPUTS];
    REQUIRE(eo_model_store_sparse(pruned, 0.5, &sparse) == EO_OK);
    run(pruned, dense);
    run(sparse, stored);
    CHECK(memcmp(dense, stored, sizeof dense) == 0);
    void *bytes, *fewer;
    size_t size, less;
    REQUIRE(eo_model_serialize(pruned, &bytes, &size) == EO_OK && eo_model_serialize(sparse, &fewer, &less) == EO_OK);
    CHECK(less < size * 2 / 3);
    eo_free(bytes);
    eo_free(fewer);
    eo_model_destroy(sparse);
    eo_model_destroy(pruned);

    eo_layer_rule none = {"*", 0};
    options.rules = &none;
    options.rule_count = 1;
    CHECK(eo_prune(model, &options, &pruned) == EO_UNSUPPORTED && pruned == NULL);
    options.rule_count = 0;
    options.pattern = EO_SPARSITY_N_OF_M;
    REQUIRE(eo_prune(model, &options, &pruned) == EO_OK);
    found = largest(pruned, &tensor);
    CHECK(found.zeros * 2 == found.elements);
    eo_model_destroy(pruned);
}

static void clustering(const eo_model *model) {
    eo_clustering_options options = EO_CLUSTERING_OPTIONS_INIT;
    eo_model *clustered;
    int32_t tensor;
    REQUIRE(eo_cluster(model, NULL, &clustered) == EO_OK);
    eo_model_destroy(clustered);
    options.granularity = EO_CLUSTERS_PER_TENSOR;
    REQUIRE(eo_cluster(model, &options, &clustered) == EO_OK);
    CHECK(largest(clustered, &tensor).distinct == 16);
    int64_t counts[8], sum = 0;
    REQUIRE(eo_model_weight_histogram(clustered, 0, tensor, counts, 8) == EO_OK);
    for (int i = 0; i < 8; i++) sum += counts[i];
    CHECK(sum == largest(clustered, &tensor).elements);
    eo_model_destroy(clustered);
    options.clusters = 4;
    REQUIRE(eo_cluster(model, &options, &clustered) == EO_OK);
    CHECK(largest(clustered, &tensor).distinct == 4);
    eo_model_destroy(clustered);
}

static int remarks;
static void count_remarks(void *user, eo_log_level level, const char *text) {
    (void)user, (void)level;
    remarks += strstr(text, "keeps its channels") != NULL;
}

static void channels(const eo_model *model) {
    eo_channel_pruning_options options = EO_CHANNEL_PRUNING_OPTIONS_INIT;
    eo_model *smaller;
    int32_t tensor;
    float scores[OUTPUTS];
    options.log = count_remarks;
    REQUIRE(eo_prune_channels(model, &options, &smaller) == EO_OK);
    CHECK(remarks > 0);
    CHECK(largest(smaller, &tensor).elements < largest(model, &tensor).elements * 0.6);
    run(smaller, scores);
    eo_model_destroy(smaller);
}

static void refusals(const eo_model *model) {
    eo_model *made = (eo_model *)1;
    eo_pruning_options pruning = EO_PRUNING_OPTIONS_INIT;
    eo_clustering_options clustering = EO_CLUSTERING_OPTIONS_INIT;
    eo_channel_pruning_options channels = EO_CHANNEL_PRUNING_OPTIONS_INIT;
    eo_weight_statistics found;
    int64_t counts[2];
    CHECK(eo_prune(NULL, NULL, &made) == EO_INVALID_ARGUMENT && made == NULL);
    CHECK(eo_prune(model, NULL, NULL) == EO_INVALID_ARGUMENT);
    pruning.sparsity = 1;
    CHECK(eo_prune(model, &pruning, &made) == EO_INVALID_ARGUMENT);
    pruning.sparsity = 0.0 / 0.0;
    CHECK(eo_prune(model, &pruning, &made) == EO_INVALID_ARGUMENT);
    pruning.sparsity = 0.5;
    pruning.pattern = (eo_sparsity_pattern)7;
    CHECK(eo_prune(model, &pruning, &made) == EO_INVALID_ARGUMENT);
    pruning.pattern = EO_SPARSITY_BLOCK;
    pruning.block_rows = -3;
    CHECK(eo_prune(model, &pruning, &made) == EO_INVALID_ARGUMENT);
    pruning.pattern = EO_SPARSITY_ELEMENT;
    pruning.rule_count = 2;
    CHECK(eo_prune(model, &pruning, &made) == EO_INVALID_ARGUMENT);
    pruning.rule_count = -1;
    CHECK(eo_prune(model, &pruning, &made) == EO_INVALID_ARGUMENT);
    CHECK(eo_cluster(NULL, NULL, &made) == EO_INVALID_ARGUMENT);
    clustering.clusters = 1;
    CHECK(eo_cluster(model, &clustering, &made) == EO_INVALID_ARGUMENT);
    clustering.clusters = 8;
    clustering.start = (eo_centroid_start)9;
    CHECK(eo_cluster(model, &clustering, &made) == EO_INVALID_ARGUMENT);
    CHECK(eo_prune_channels(NULL, NULL, &made) == EO_INVALID_ARGUMENT);
    channels.ratio = 2;
    CHECK(eo_prune_channels(model, &channels, &made) == EO_INVALID_ARGUMENT);
    channels.ratio = 0.5;
    channels.multiple = 0;
    CHECK(eo_prune_channels(model, &channels, &made) == EO_INVALID_ARGUMENT);
    CHECK(eo_model_store_sparse(model, 7, &made) == EO_INVALID_ARGUMENT);
    CHECK(eo_model_store_sparse(NULL, 0.5, &made) == EO_INVALID_ARGUMENT);
    CHECK(eo_model_weight_statistics(model, 0, 9999, &found) == EO_OUT_OF_RANGE);
    CHECK(eo_model_weight_statistics(model, 0, 0, NULL) == EO_INVALID_ARGUMENT);
    int32_t input;
    REQUIRE(eo_model_input(model, 0, 0, &input) == EO_OK);
    CHECK(eo_model_weight_statistics(model, 0, input, &found) == EO_UNSUPPORTED);
    CHECK(eo_model_weight_histogram(model, 3, 0, counts, 2) == EO_OUT_OF_RANGE);
    CHECK(eo_model_weight_histogram(model, 0, 0, counts, 0) == EO_INVALID_ARGUMENT);
    CHECK(eo_model_weight_histogram(model, 0, 0, NULL, 2) == EO_INVALID_ARGUMENT);
}

int main(void) {
    eo_model *model = open_model();
    pruning(model);
    clustering(model);
    channels(model);
    refusals(model);
    eo_model_destroy(model);
    return failures != 0;
}
