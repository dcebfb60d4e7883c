#include "kernels.h"
int eo_kernels_placeholder(void) { return 0; }
