#include "clusters.h"

#include <math.h>

void eo_mask(size_t count, const bool *kept, const float *x, float *y) {
    for (size_t i = 0; i < count; i++) {
        const float value = x[i];
        y[i] = kept[i] ? value : 0;
    }
}

bool eo_clusters_use(const struct eo_clustered *c, const float *weights, float *used) {
    bool reaches = false;
    for (size_t k = 0, i = c->first; k < c->count; k++, i += c->step) {
        // Which weights are zero cannot be foretold: no branch depends on it.
        const size_t is_zero = c->zeros && c->zeros[i];
        const float weight = weights[i] / c->scale;
        size_t at = is_zero ? c->cluster_count : (size_t)c->cluster[i];
        // Most weights stay with their centroid.
        if (!(is_zero | ((size_t)(weight > c->clusters[at].above) & (size_t)(weight <= c->clusters[at].up_to)))) {
            size_t low = 0, high = c->cluster_count - 1;
            while (low < high) {
                const size_t middle = (low + high) / 2;
                if (weight > c->clusters[middle].up_to)
                    low = middle + 1;
                else
                    high = middle;
            }
            at = low;
        }
        c->cluster[i] = (int32_t)at;
        c->centroid[i] = c->clusters[at].centroid;
        used[i] = c->clusters[at].value * c->scale;
        reaches |= fabsf(used[i]) == c->scale;
    }
    return reaches;
}

void eo_clusters_sum(const struct eo_clustered *c, float *gradient, bool clears, double *sums, int32_t *members) {
    for (size_t k = 0, i = c->first; k < c->count; k++, i += c->step) {
        const size_t centroid = (size_t)c->centroid[i];
        sums[centroid] += (double)(gradient[i] * c->scale);
        members[centroid]++;
        gradient[i] = clears && c->zeros && c->zeros[i] ? 0 : gradient[i];
    }
}
