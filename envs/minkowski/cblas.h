/* The few CBLAS entry points that MinkowskiEngine calls, on top of the Fortran BLAS symbols that torch's own library exports.
 * No BLAS has to be installed, and the extension runs on the very BLAS that torch runs on. */
#ifndef IGNET_CBLAS_H
#define IGNET_CBLAS_H

typedef enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 } CBLAS_ORDER;
typedef enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112, CblasConjTrans = 113 } CBLAS_TRANSPOSE;

/* A row-major product is the column-major product of the operands in the other order. */
#define IGNET_GEMM(NAME, FORTRAN, T)                                                                               \
  void FORTRAN(const char *, const char *, const int *, const int *, const int *, const T *, const T *,            \
               const int *, const T *, const int *, const T *, T *, const int *);                                  \
  static inline void NAME(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, int m, int n,       \
                          int k, T alpha, const T *a, int lda, const T *b, int ldb, T beta, T *c, int ldc) {       \
    const char ta = trans_a == CblasNoTrans ? 'N' : 'T', tb = trans_b == CblasNoTrans ? 'N' : 'T';                 \
    if (order == CblasColMajor)                                                                                    \
      FORTRAN(&ta, &tb, &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc);                                     \
    else                                                                                                           \
      FORTRAN(&tb, &ta, &n, &m, &k, &alpha, b, &ldb, a, &lda, &beta, c, &ldc);                                     \
  }
IGNET_GEMM(cblas_sgemm, sgemm_, float)
IGNET_GEMM(cblas_dgemm, dgemm_, double)

#define IGNET_AXPY(NAME, T)                                                                                        \
  static inline void NAME(int n, T alpha, const T *x, int step_x, T *y, int step_y) {                              \
    for (int i = 0; i < n; ++i) y[i * step_y] += alpha * x[i * step_x];                                            \
  }
IGNET_AXPY(cblas_saxpy, float)
IGNET_AXPY(cblas_daxpy, double)

#endif
