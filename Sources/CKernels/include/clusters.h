// Weights that share a few values, or are zero, while they are trained.
#ifndef EDGEOPT_KERNELS_CLUSTERS_H
#define EDGEOPT_KERNELS_CLUSTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

// y = x where it is kept, else 0. x may be y.
void eo_mask(size_t count, const bool *_Nonnull kept, const float *_Nonnull x, float *_Nonnull y);

// A value, what is nearest to it (more than `above`, up to `up_to`), and the number of its centroid.
struct eo_cluster {
    float value, above, up_to;
    int32_t centroid;
};

// The weights of a channel, from number `first` on.
struct eo_clustered {
    size_t first, step, count;
    float scale;                                // of the channel; 1: none
    const struct eo_cluster *_Nonnull clusters; // ascending; one more, of value 0, for zeros that are kept
    size_t cluster_count;                       // without that one
    const bool *_Nullable zeros;
    int32_t *_Nonnull cluster, *_Nonnull centroid; // of each weight; where the search begins, and what it finds
};

// used = the value nearest to the weight. True: one of them has the magnitude of the scale.
bool eo_clusters_use(const struct eo_clustered *_Nonnull c, const float *_Nonnull weights, float *_Nonnull used);
// Adds the gradients of weights to those of their centroids, and counts them. `clears`: those of kept zeros become 0.
void eo_clusters_sum(const struct eo_clustered *_Nonnull c, float *_Nonnull gradient, bool clears,
                     double *_Nonnull sums, int32_t *_Nonnull members);

#pragma GCC visibility pop
#endif
