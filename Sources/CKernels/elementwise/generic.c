// The element kernels for every processor: the twins that the others are tested against.
#define K(name) eo_##name##__generic
#define TABLE eo_elementwise_generic
#include "body.h"
