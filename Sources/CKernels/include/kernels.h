// All kernel families. One line for each.
#ifndef EDGEOPT_KERNELS_H
#define EDGEOPT_KERNELS_H

#include "isa.h"
#include "gemm.h"
#include "winograd.h"
#include "convolution.h"
#include "cascade.h"
#include "clusters.h"
#include "combine.h"
#include "copy.h"
#include "depthwise.h"
#include "digest.h"
#include "dynamic_range.h"
#include "elementwise.h"
#include "fourier.h"
#include "gradients.h"
#include "lstm.h"
#include "optimizers.h"
#include "pooled.h"
#include "training.h"
#include "u8_winograd.h"

#endif
