// Prunes a float model while it is trained to answer as it did before: no labels are needed.
//
//   train FLOAT_MODEL PRUNED_MODEL SAMPLES
//
// SAMPLES is a file of float32 inputs, one after the other.
#include <edgeopt.h>

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 20, EPOCHS = 30 };

static int fail(void) {
    fprintf(stderr, "%s\n", eo_last_error());
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s FLOAT_MODEL PRUNED_MODEL SAMPLES\n", argv[0]);
        return 2;
    }
    // Half of the weights go in the first half of the training, a few at a time.
    eo_pruning_options pruning = EO_PRUNING_OPTIONS_INIT;
    pruning.sparsity = 0.5;
    eo_pruning_schedule schedule = EO_PRUNING_SCHEDULE_INIT;
    schedule.initial_sparsity = 0;
    schedule.end_step = 70;
    schedule.frequency = 5;
    eo_loss_term loss = EO_LOSS_TERM_INIT;
    loss.loss = EO_LOSS_DISTILLATION;
    eo_trainer_options options = EO_TRAINER_OPTIONS_INIT;
    options.batch_size = BATCH;
    options.losses = &loss;
    options.loss_count = 1;
    options.pruning = &pruning;
    options.pruning_schedule = &schedule;

    eo_model *model, *pruned;
    eo_trainer *trainer;
    eo_tensor input;
    if (eo_model_open(argv[1], &model) != EO_OK || eo_trainer_create(model, &options, &trainer) != EO_OK ||
        eo_trainer_input(trainer, 0, &input) != EO_OK)
        return fail();
    const size_t size = input.size / BATCH; // of one sample
    void *samples = malloc(input.size);
    FILE *file = fopen(argv[3], "rb");
    if (!samples || !file) return fprintf(stderr, "%s: cannot be read\n", argv[3]), 1;

    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        float loss_of_last = 0;
        rewind(file);
        for (size_t count; (count = fread(samples, size, BATCH, file)) > 0;) {
            const void *inputs[] = {samples};
            const size_t sizes[] = {count * size};
            eo_batch batch = EO_BATCH_INIT;
            batch.sample_count = (int32_t)count;
            batch.inputs = inputs;
            batch.input_sizes = sizes;
            eo_batch_result result;
            if (eo_trainer_step(trainer, &batch, &result) != EO_OK) return fail();
            loss_of_last = result.loss;
        }
        if (epoch % 10 == 9) printf("epoch %d: loss %.4f\n", epoch + 1, loss_of_last);
    }
    if (eo_trainer_export(trainer, &pruned) != EO_OK || eo_model_save(pruned, argv[2]) != EO_OK) return fail();
    printf("after %lld steps, wrote %s\n", (long long)eo_trainer_steps(trainer), argv[2]);

    fclose(file);
    free(samples);
    eo_trainer_destroy(trainer);
    eo_model_destroy(pruned);
    eo_model_destroy(model);
    return 0;
}
