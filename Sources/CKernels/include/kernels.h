#ifndef EDGEOPT_KERNELS_H
#define EDGEOPT_KERNELS_H
#pragma GCC visibility push(hidden)
int eo_kernels_placeholder(void);
#pragma GCC visibility pop
#endif
