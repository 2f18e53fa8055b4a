#!/usr/bin/env bash
# Builds the unmodified MinkowskiEngine 0.5.4 for the torch of a virtual environment, and installs it there. No root, no system BLAS.
#
#   usage: build.sh VENV [LOG]       exit code 0: installed and computing; 3: it cannot be built here; other: the build failed
#
# Standard output gets short lines, standard error the one reason why it cannot be built, LOG the compiler's output. What is installed stays as it is until the new build is complete.
#   CXX                   the C++ compiler (default: g++, c++ or clang++, the first that is there)
#   MAX_JOBS              parallel compilations (default: one per core, and per 1.5 GB of free memory)
#   TORCH_CUDA_ARCH_LIST  the GPUs to compile for, such as "9.0"; needed only where none is visible (a login node)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$(cd "${1:?usage: build.sh VENV [LOG]}" && pwd)
log=${2:-$venv/log/minkowski.log}
python=$venv/bin/python
say() { printf '[3/4] MinkowskiEngine: %s\n' "$*"; }
cannot() { printf '%s\n' "$*" >&2; exit 3; }

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
options=(--blas=openblas)

# --- CPU or CUDA ------------------------------------------------------------------------------------------------------------
variant=CPU
nvcc=${CUDA_HOME:+$CUDA_HOME/bin/nvcc}
nvcc=${nvcc:-$(command -v nvcc || true)}
nvcc=${nvcc:-/usr/local/cuda/bin/nvcc}
architectures=${TORCH_CUDA_ARCH_LIST:-$visible}
if [ -n "$torch_cuda" ] && [ -x "$nvcc" ]; then
  toolkit=$("$nvcc" --version | sed -n 's/.*release \([0-9]*\.[0-9]*\).*/\1/p')
  if [ "${toolkit%%.*}" != "${torch_cuda%%.*}" ]; then
    say "for the CPU only: nvcc is CUDA $toolkit, torch was built with CUDA $torch_cuda; set CUDA_HOME to a toolkit ${torch_cuda%%.*}.x"
  elif [ -z "$architectures" ]; then
    say "for the CPU only: no GPU is visible; set TORCH_CUDA_ARCH_LIST (such as 9.0) to build for one"
  else
    variant="CUDA $toolkit ($architectures)"
    # nvcc itself says where its toolkit lies: the one on the PATH may be a wrapper
    CUDA_HOME=${CUDA_HOME:-$("$nvcc" --dryrun -x cu /dev/null 2>&1 | sed -n 's/^#\$ TOP=//p')}
    CUDA_HOME=$(cd "$CUDA_HOME" && pwd)
    export CUDA_HOME TORCH_CUDA_ARCH_LIST=$architectures
    extra=()
    for folder in "$site"/nvidia/*/include; do [ -d "$folder" ] && extra+=("-isystem" "$folder"); done
    export NVCC_PREPEND_FLAGS="-include $here/cuda_compat.cuh ${extra[*]:-}"
    flags="$flags ${extra[*]:-}"
    # the linker wants libcusparse.so; torch's packages bring only the versioned file
    if ! [ -e "$CUDA_HOME/lib64/libcusparse.so" ]; then
      cusparse=$(find "$site/nvidia" "$CUDA_HOME"/ -name 'libcusparse.so.*' 2> /dev/null | head -n 1)
      [ -n "$cusparse" ] || cannot "libcusparse is neither in $CUDA_HOME nor among torch's packages"
      ln -s "$cusparse" "$work/lib/libcusparse.so"
    fi
    [ -n "$visible" ] || options+=(--force_cuda)
  fi
elif [ -n "$torch_cuda" ]; then
  say "for the CPU only: this torch has CUDA $torch_cuda, but there is no nvcc (set CUDA_HOME to a toolkit ${torch_cuda%%.*}.x)"
fi
[ "$variant" != CPU ] || options+=(--cpu_only)

# --- build a wheel, then swap it in -----------------------------------------------------------------------------------------
cores=$(getconf _NPROCESSORS_ONLN)
by_memory=$(awk '/MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo 2> /dev/null || true)
jobs=$((${by_memory:-1} < cores ? ${by_memory:-1} : cores))
export MAX_JOBS=${MAX_JOBS:-$((jobs > 0 ? jobs : 1))} CFLAGS="$flags" LDFLAGS="-L$work/lib"
# its setup.py runs a bare `pip uninstall MinkowskiEngine`, even to print its metadata: a failed build would take a working one away
printf '#!/bin/sh\nexit 0\n' > "$work/bin/pip" && chmod +x "$work/bin/pip"
export PATH="$work/bin:$venv/bin:$PATH" VIRTUAL_ENV=$venv
say "compiling for $variant, $MAX_JOBS units at a time, about 3 minutes on 2 cores (log: $log)"
# the digest of the unmodified source release; options of setup.py have to stand beside it, pip's own do not reach a requirements file
requirement="MinkowskiEngine==0.5.4 --hash=sha256:b1879c00d0b0b1d30ba622cce239886a7e3c78ee9da1064cdfe2f64c2ab15f94"
for option in "${options[@]}"; do requirement="$requirement --config-settings=\"--global-option=$option\""; done
printf '%s\n' "$requirement" > "$work/requirements.txt"
# no wheel cache: it takes no notice of the torch that a wheel was built for
"$python" -m pip wheel --no-cache-dir --no-build-isolation --no-deps --no-binary MinkowskiEngine \
  --wheel-dir "$work/wheel" --require-hashes -r "$work/requirements.txt" >> "$log" 2>&1
"$python" -m pip install --quiet --no-deps --no-index --force-reinstall "$work"/wheel/*.whl >> "$log" 2>&1
"$python" "$here/selftest.py" >> "$log" 2>&1
printf "[3/4] %s\n" "$(tail -n 1 "$log")"
