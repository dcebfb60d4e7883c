// Convolutions one after the other, a few lines of the last one's output at a time: what lies between two of them is
// kept only as long as it is needed, in the second-level cache. Every element is summed as the layers by themselves sum
// it.
#ifndef EDGEOPT_KERNELS_CASCADE_H
#define EDGEOPT_KERNELS_CASCADE_H

#include "depthwise.h"

#pragma GCC visibility push(hidden)

enum { EO_CASCADE_STAGES = 8 };

// A layer ready to run, with one group where it is no depthwise one.
struct eo_cascade_stage {
    bool is_depthwise;
    struct eo_convolution convolution;
    struct eo_depthwise depthwise;
    size_t scratch;      // where the stage's slot begins in a worker's scratch memory
    size_t lines;        // of its output that a worker keeps; of the last stage: that it computes at once
    size_t lines_offset; // where they are kept in a worker's scratch memory; not of the last stage
};

struct eo_cascade {
    size_t count;
    struct eo_cascade_stage *_Nonnull stages;
    size_t slot_size; // bytes of scratch for a worker

    const void *_Nullable input;
    void *_Nullable output;
    const void *_Nullable operand; // of what follows the last stage
    void *_Nullable scratch;

    size_t unit_lines, workers; // set by eo_cascade_start: lines of a unit, workers there is work for
};

// Sets `lines`, the offsets and slot_size from the stages' layers, for about `size` bytes of kept lines.
void eo_cascade_plan(struct eo_cascade *_Nonnull cascade, size_t size);
// As eo_convolution_start and eo_convolution_work.
size_t eo_cascade_start(struct eo_cascade *_Nonnull cascade, size_t workers);
void eo_cascade_work(const struct eo_cascade *_Nonnull cascade, size_t unit, size_t worker);

#pragma GCC visibility pop
#endif
