#!/usr/bin/env bash
# Builds the unmodified MinkowskiEngine 0.5.4 for the torch of a virtual environment, and installs it there. No root, no system BLAS.
#
#   usage: build.sh VENV [LOG]       VENV has torch and ignet; exit code 0: installed and computing; 3: it cannot be built here; other: the build failed
#
# Standard output gets short lines, standard error the one reason why it cannot be built, LOG the compiler's output. What is installed stays as it is until the new build is complete.
#   CXX                   the C++ compiler (default: g++, c++ or clang++, the first that is there)
#   CUDA_HOME             the CUDA toolkit (default: that of the nvcc on the PATH, /usr/local/cuda, or NVIDIA's packages in VENV)
#   CUDA_PACKAGES         yes: where none of these fits torch, take the compiler from NVIDIA's packages for Python
#   TORCH_CUDA_ARCH_LIST  the GPUs to compile for, such as "8.0;9.0"; needed only where none is visible (a login node)
#   MAX_JOBS              parallel compilations (default: one per core and per 1.5 GB of free memory, per 3 GB for CUDA)
# Where the CUDA build fails, that for the CPU is made instead.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$(cd "${1:?usage: build.sh VENV [LOG]}" && pwd)
log=${2:-$venv/log/minkowski.log}
python=$venv/bin/python
say() { printf '[3/4] MinkowskiEngine: %s\n' "$*"; }
cannot() { printf '%s\n' "$*" >&2; exit 3; }
# sets reason to the first error in the log: pip's own line about its subprocess comes first, and says nothing; a compiler that the kernel ended says only Killed
find_reason() {
  reason=$(grep -E '[Ee]rror *:|ERROR: |fatal *:|cannot find -l|Killed' "$log" | grep -v -m 1 'error: subprocess-exited' | sed 's/^ *//' | cut -c 1-200) || true
  reason=${reason:-no error in its output}
}

mkdir -p "$(dirname "$log")" && : > "$log"
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/include" "$work/lib" "$work/wheel"

# --- what is there: a compiler, Python's headers, torch ---------------------------------------------------------------------
export CXX=${CXX:-$(command -v g++ || command -v c++ || command -v clang++ || true)}
[ -n "$CXX" ] || cannot "no C++ compiler (Debian, Ubuntu: apt install g++)"
headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$headers/Python.h" ] || cannot "$headers/Python.h is missing (Debian, Ubuntu: apt install python3-dev)"
printf '#include <Python.h>\n#include <concepts>\n#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n' > "$work/probe.cpp"
"$CXX" -std=c++20 -fopenmp "-I$headers" -c "$work/probe.cpp" -o "$work/probe.o" >> "$log" 2>&1 ||
  cannot "$CXX does not compile C++20 with OpenMP (see $log; Debian, Ubuntu: apt install g++)"
command -v ar > /dev/null || cannot "ar is missing (Debian, Ubuntu: apt install binutils)"
IFS='|' read -r torch_cuda visible library site < <("$python" - <<'P'
import pathlib, torch
package = pathlib.Path(torch.__file__).parent
architectures = ";".join(sorted({"%d.%d" % torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}))
print(torch.version.cuda or "", architectures, package / "lib", package.parent, sep="|")
P
) || cannot "torch cannot be imported from $venv"
[ -n "$library" ] || cannot "torch cannot be imported from $venv"

# --- BLAS: torch's own, through a small header; the empty archive satisfies the -lopenblas of the build option ---------------
"$python" - "$library" >> "$log" 2>&1 <<'P' || cannot "this torch exports no sgemm_ and dgemm_ (see $log)"
import ctypes, sys
import torch
blas = ctypes.CDLL(sys.argv[1] + "/libtorch_cpu.so")
blas.sgemm_, blas.dgemm_
P
cp "$here/cblas.h" "$work/include/"
ar rcs "$work/lib/libopenblas.a"
flags="-g0 -I$work/include"

# --- CUDA: a toolkit of torch's major version, GPUs to compile for, headers and libraries -------------------------------------
# the folder of the first toolkit that fits torch; sets CUDA_HOME and toolkit
find_toolkit() {
  local candidate release other= candidates=("$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc)
  [ -z "${CUDA_HOME:-}" ] || candidates=("$CUDA_HOME/bin/nvcc")
  for candidate in "${candidates[@]}" "$site"/nvidia/cu[0-9]*/bin/nvcc; do
    [ -x "$candidate" ] || continue
    release=$("$candidate" --version 2>> "$log" | sed -n 's/.*release \([0-9]*\.[0-9]*\).*/\1/p')
    other=$release
    [ "${release%%.*}" = "${torch_cuda%%.*}" ] || continue
    # nvcc itself says where its toolkit lies: the one on the PATH may be a wrapper
    CUDA_HOME=$("$candidate" --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')
    CUDA_HOME=$(cd "${CUDA_HOME:-$(dirname "$candidate")/..}" && pwd)
    toolkit=$release
    return
  done
  found=${other:+"nvcc is CUDA $other"}
  return 1
}
# torch's own requirement names the release of the toolkit's packages; the compiler lands beside the libraries that torch brought
install_toolkit() {
  local release
  release=$("$python" -c 'import importlib.metadata as m; print(m.version("cuda-toolkit"))' 2>> "$log") || return 1
  say "installing CUDA's compiler, from NVIDIA's packages of CUDA $release"
  "$python" -m pip install --disable-pip-version-check "cuda-toolkit[nvcc,cccl]==$release" >> "$log" 2>&1
}
prepare_cuda() {
  local folder library path
  if [ -z "$torch_cuda" ]; then
    [ "${CUDA_PACKAGES:-}" != yes ] || cannot "the installed torch was built for the CPU, expected a CUDA build; make clean-setup, then set TORCH_INDEX_URL"
    return 1
  fi
  architectures=${TORCH_CUDA_ARCH_LIST:-$visible}
  if [ -z "$architectures" ]; then
    say "for the CPU only: no GPU is visible; set TORCH_CUDA_ARCH_LIST (such as 9.0) to build for one"
    return 1
  fi
  if ! find_toolkit && [ "${CUDA_PACKAGES:-}" = yes ] && ! install_toolkit; then
    find_reason
    say "for the CPU only: NVIDIA's packages of the compiler could not be installed: $reason (see $log)"
    return 1
  fi
  if [ -z "${toolkit:-}" ] && ! find_toolkit; then
    say "for the CPU only: torch was built with CUDA $torch_cuda, and ${found:-there is no nvcc}; set CUDA_HOME to a toolkit ${torch_cuda%%.*}.x, or run make minkowski-cuda"
    return 1
  fi
  # thrust lies apart since CUDA 13, where nvcc looks and g++ does not; torch's packages have headers that a small toolkit lacks
  extra="-isystem $CUDA_HOME/include/cccl"
  for folder in "$site"/nvidia/*/include; do [ ! -d "$folder" ] || extra="$extra -isystem $folder"; done
  # the linker wants libNAME.so; torch's packages bring only the versioned file
  for library in cudart cusparse; do
    [ ! -e "$CUDA_HOME/lib64/lib$library.so" ] || continue
    path=$(find "$CUDA_HOME"/ "$site/nvidia" -name "lib$library.so*" 2> /dev/null | sort | head -n 1)
    if [ -z "$path" ]; then
      say "for the CPU only: lib$library is neither in $CUDA_HOME nor among torch's packages"
      return 1
    fi
    ln -s "$path" "$work/lib/lib$library.so"
  done
}

# --- build a wheel, try it apart, then swap it in -----------------------------------------------------------------------------
cores=$(getconf _NPROCESSORS_ONLN)
free=$(awk '/MemAvailable/ {print $2}' /proc/meminfo 2> /dev/null || true)
# one per core, and per so many KB of free memory
jobs_of() { local by_memory=$((${free:-$1} / $1)); echo $((by_memory < 1 ? 1 : by_memory < cores ? by_memory : cores)); }
# its setup.py runs a bare `pip uninstall MinkowskiEngine`, even to print its metadata: a failed build would take a working one away
printf '#!/bin/sh\nexit 0\n' > "$work/bin/pip" && chmod +x "$work/bin/pip"
export PATH="$work/bin:$venv/bin:$PATH" VIRTUAL_ENV=$venv LDFLAGS="-L$work/lib"
# build OPTION...: with these options of its setup.py
build() {
  # the digest of the unmodified source release; options of setup.py have to stand beside it, pip's own do not reach a requirements file
  local requirement="MinkowskiEngine==0.5.4 --hash=sha256:b1879c00d0b0b1d30ba622cce239886a7e3c78ee9da1064cdfe2f64c2ab15f94" option
  for option in --blas=openblas "$@"; do requirement="$requirement --config-settings=\"--global-option=$option\""; done
  printf '%s\n' "$requirement" > "$work/requirements.txt"
  rm -rf "$work/wheel" "$work/trial"
  # no wheel cache: it takes no notice of the torch that a wheel was built for
  "$python" -m pip wheel --no-cache-dir --no-build-isolation --no-deps --no-binary MinkowskiEngine \
    --wheel-dir "$work/wheel" --require-hashes -r "$work/requirements.txt" >> "$log" 2>&1 &&
    "$python" -m pip install --quiet --no-deps --no-index --target "$work/trial" "$work"/wheel/*.whl >> "$log" 2>&1 &&
    PYTHONPATH=$work/trial "$python" "$here/selftest.py" >> "$log" 2>&1 &&
    "$python" -m pip install --quiet --no-deps --no-index --force-reinstall "$work"/wheel/*.whl >> "$log" 2>&1
}
built=
if prepare_cuda; then
  jobs=${MAX_JOBS:-$(jobs_of 3145728)}
  say "compiling for CUDA $toolkit ($architectures), $jobs units at a time, about half an hour on 2 cores (log: $log)"
  (
    export CUDA_HOME TORCH_CUDA_ARCH_LIST=$architectures MAX_JOBS=$jobs CFLAGS="$flags $extra"
    export NVCC_PREPEND_FLAGS="-include $here/cuda_compat.cuh -I$work/include $extra"
    build --force_cuda
  ) && built=yes
  if [ -z "$built" ]; then
    find_reason
    say "for the CPU only: the CUDA build failed: $reason (see $log)"
  fi
fi
if [ -z "$built" ]; then
  export MAX_JOBS=${MAX_JOBS:-$(jobs_of 1572864)} CFLAGS="$flags"
  say "compiling for the CPU, $MAX_JOBS units at a time, about 3 minutes on 2 cores (log: $log)"
  build --cpu_only
fi
printf "[3/4] %s\n" "$(grep '^MinkowskiEngine .* computes on ' "$log" | tail -n 1)"
