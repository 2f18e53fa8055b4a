// Included ahead of every CUDA unit (NVCC_PREPEND_FLAGS="-include .../cuda_compat.cuh"), so that the unmodified
// MinkowskiEngine 0.5.4, written for CUDA 11, compiles with CUDA 12 and 13.
#pragma once
#ifdef __CUDACC__

#ifndef CCCL_DISABLE_NVTX
#define CCCL_DISABLE_NVTX  // the toolkit's NVTX and MinkowskiEngine's older copy of it define the same names
#endif
#include <cuda_runtime.h>

// headers that older thrust versions pulled in by themselves
#include <thrust/copy.h>
#include <thrust/count.h>
#include <thrust/execution_policy.h>
#include <thrust/fill.h>
#include <thrust/for_each.h>
#include <thrust/functional.h>
#include <thrust/iterator/constant_iterator.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/discard_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#include <thrust/iterator/zip_iterator.h>
#include <thrust/pair.h>
#include <thrust/reduce.h>
#include <thrust/remove.h>
#include <thrust/scan.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <thrust/transform.h>
#include <thrust/tuple.h>
#include <thrust/unique.h>

#if defined(CCCL_MAJOR_VERSION) && CCCL_MAJOR_VERSION >= 3
namespace thrust {  // removed from CCCL 3, which came with CUDA 13
template <class Argument, class Result>
struct unary_function {
  using argument_type = Argument;
  using result_type = Result;
};
}  // namespace thrust
#endif

#if CUDART_VERSION >= 13000
// CUDA 13 dropped the form that takes a device number
static inline cudaError_t cudaMemPrefetchAsync(const void *pointer, size_t bytes, int device, cudaStream_t stream) {
  cudaMemLocation location{};
  location.type = device == cudaCpuDeviceId ? cudaMemLocationTypeHost : cudaMemLocationTypeDevice;
  location.id = device == cudaCpuDeviceId ? 0 : device;
  return cudaMemPrefetchAsync(pointer, bytes, location, 0u, stream);
}
#endif

// shared_ptr(unique_ptr&&) calls __to_address unqualified, and finds both std's and cuda::std's; a more specialised overload decides
template <typename, typename, typename, typename, typename>
class concurrent_unordered_map;
template <typename K, typename E, typename H, typename Q, typename A>
constexpr concurrent_unordered_map<K, E, H, Q, A> *__to_address(concurrent_unordered_map<K, E, H, Q, A> *pointer) noexcept {
  return pointer;
}

#include <ATen/core/Tensor.h>  // ATen/cuda/CUDAUtils.h uses at::Tensor without including it

#endif
