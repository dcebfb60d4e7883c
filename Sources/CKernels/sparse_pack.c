#include "gemm.h"

#include <string.h>

// Done once for each model: small rather than fast.
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

enum { NR = EO_SPARSE_COLUMNS };

// Step k of the columns from `first` on; whether one of its weights is not zero. `weights` may lie anywhere in a file.
static bool load(size_t depth, size_t columns, const char *weights, size_t first, size_t k, float *group) {
    const size_t count = columns - first < NR ? columns - first : NR;
    bool is_used = false;
    for (size_t j = 0; j < NR; j++) {
        group[j] = 0;
        if (j < count) memcpy(group + j, weights + ((first + j) * depth + k) * sizeof(float), sizeof(float));
        is_used = is_used || group[j] != 0;
    }
    return is_used;
}

// Of dense weights little more than one column of each group is read.
size_t eo_f32_sparse_groups(size_t depth, size_t columns, const void *weights, size_t most) {
    size_t found = 0;
    for (size_t first = 0; first < columns && found <= most; first += NR)
        for (size_t k = 0; k < depth; k++)
            for (size_t j = first; j < columns && j < first + NR; j++) {
                float weight;
                memcpy(&weight, (const char *)weights + (j * depth + k) * sizeof weight, sizeof weight);
                if (weight == 0) continue;
                found++;
                break;
            }
    return found;
}

static size_t blocks(size_t columns) { return (columns + NR - 1) / NR; }

size_t eo_f32_sparse_packed_size(size_t columns, size_t groups) {
    // Each list of places is filled up, so that weights begin at whole lines.
    return blocks(columns) * (sizeof(struct eo_sparse_block) + NR * sizeof(float)) +
           groups * (NR * sizeof(float) + sizeof(uint32_t));
}

void eo_f32_sparse_pack(size_t depth, size_t columns, const void *weights, const void *bias, void *packed) {
    struct eo_sparse_block *block = packed;
    float *list = (float *)(block + blocks(columns));
    for (size_t first = 0; first < columns; first += NR, block++) {
        const size_t count = columns - first < NR ? columns - first : NR;
        memset(block, 0, sizeof *block);
        if (bias) memcpy(block->bias, (const char *)bias + first * sizeof(float), count * sizeof(float));
        block->offset = (size_t)((char *)list - (char *)block);
        float group[NR];
        for (size_t k = 0; k < depth; k++)
            if (load(depth, columns, weights, first, k, group)) {
                memcpy(list + block->count++ * NR, group, sizeof group);
            }
        uint32_t *place = (uint32_t *)(list + block->count * NR);
        size_t n = 0;
        for (size_t k = 0; k < depth; k++)
            if (load(depth, columns, weights, first, k, group)) place[n++] = (uint32_t)k;
        list = (float *)(place + (n + NR - 1) / NR * NR);
    }
}
#pragma clang attribute pop
