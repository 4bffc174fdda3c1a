/** @file Every operator of the domain `modelpress`: add a line to add one. */
#ifndef MODELPRESS_OP_TABLE_H
#define MODELPRESS_OP_TABLE_H

#define OP_TABLE(F)  \
  F(bf16_gemm)       \
  F(gelu)            \
  F(gelu_grad)       \
  F(softmax_grad)    \
  F(layer_norm_grad) \
  F(residual_norm)   \
  F(sparse_gemm)

#endif
