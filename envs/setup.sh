#!/usr/bin/env bash
# Makes .venv in the project's root and installs everything in it. Needs no root; can be stopped and called again; a second call does
# only what has changed since.
#
#   PYTHON            the interpreter (default: the first of python3.11, python3.12, python3.13, python3 that is 3.11 or newer)
#   TORCH_INDEX_URL   a package index to take torch from; without it pip's own configuration decides which build of torch comes
#   MINKOWSKI         auto (default): build MinkowskiEngine where that is possible; no: leave it out; again: build it anew
#   CXX, CUDA_HOME, CUDA_PACKAGES, TORCH_CUDA_ARCH_LIST, MAX_JOBS: see envs/minkowski/build.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=$root/.venv
stamps=$venv/stamps
start=$SECONDS
step() { printf '[%d/4] %s\n' "$1" "$2"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
# the text given and the contents of the files named, as one key
key() { { printf '%s\n' "$1"; shift; cat "$@"; } | sha256sum | cut -c 1-16; }
# done with this key before, and the module that it brought is still there
fresh() {
  [ "$(cat "$stamps/$1" 2> /dev/null)" = "$2" ] &&
    "$venv/bin/python" -c "import importlib.util as u, sys; sys.exit(u.find_spec('$3') is None)" 2> /dev/null
}

# --- 1. Python and the environment ------------------------------------------------------------------------------------------
mkdir -p "$venv"
if command -v flock > /dev/null; then
  exec 9> "$venv/setup.lock"
  flock -n 9 || { echo "another set-up is at work in $venv; waiting for it"; flock 9; }
fi
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
if "$venv/bin/python" -c "import pip; $new_enough" 2> /dev/null; then
  step 1 "Python: $("$venv/bin/python" -V) in .venv"
else
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    "$candidate" -c "$new_enough" 2> /dev/null && python=$candidate && break
  done
  [ -n "${python:-}" ] || fail "found no ${PYTHON:-python3}, expected Python 3.11 or newer; install it or set PYTHON=/path/to/python3.11"
  step 1 "Python: making .venv with $("$python" -V)"
  "$python" -m venv "$venv" || fail "$python -m venv $venv failed (Debian, Ubuntu: apt install python3-venv)"
fi
mkdir -p "$stamps" "$venv/log"
python=$venv/bin/python

# --- 2. the packages --------------------------------------------------------------------------------------------------------
packages=$(key "$("$python" -V) ${TORCH_INDEX_URL:-} $root" pyproject.toml envs/constraints.txt)
if fresh packages "$packages" ignet; then
  step 2 "packages: up to date"
else
  step 2 "packages: installing torch and what goes with it (log: .venv/log/packages.log)"
  : > "$venv/log/packages.log"
  install() {
    "$python" -m pip install --disable-pip-version-check --constraint envs/constraints.txt "$@" >> "$venv/log/packages.log" 2>&1 || {
      grep -E '^ERROR' "$venv/log/packages.log" | tail -n 3 >&2 || true
      fail "pip could not install $* (see .venv/log/packages.log); fix that and call make setup again"
    }
  }
  install pip setuptools wheel ninja
  install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} torch
  step 2 "packages: installing the others, and ignet itself from this folder"
  install --no-build-isolation --editable ".[dev,docs,formats,report,slurm,teachers]"
  echo "$packages" > "$stamps/packages"
fi

# --- 3. MinkowskiEngine -----------------------------------------------------------------------------------------------------
# what the last build was told: a later call that says nothing must not replace it by a build for the CPU
told=(CXX CUDA_HOME TORCH_CUDA_ARCH_LIST)
for name in "${told[@]}"; do
  [ -n "${!name:-}" ] || ! [ -s "$stamps/$name" ] || export "$name=$(cat "$stamps/$name")"
done
# the key takes in what the binary depends on: this recipe, Python, torch's build, and the compilers
torch_build=$("$python" -c 'import importlib.metadata as m; print(m.version("torch"))')
compilers=$({ ${CXX:-g++} --version || true; "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" --version || true; } 2>&1 | tr '\n' ' ')
recipe=$(key "$("$python" -V) $torch_build ${TORCH_CUDA_ARCH_LIST:-} $compilers" envs/minkowski/*)
without="the torch engine does its work"
# prints why nothing is built, where nothing is
kept() {
  case ${MINKOWSKI:-auto} in
    no) echo "MinkowskiEngine: left out (MINKOWSKI=no); $without" && return ;;
    again) return 1 ;;
  esac
  if fresh minkowski "$recipe" MinkowskiEngine; then
    echo "MinkowskiEngine: up to date"
  elif fresh minkowski-failed "$recipe" torch; then
    echo "MinkowskiEngine: the build failed before (.venv/log/minkowski.log); $without; MINKOWSKI=again make setup tries anew"
  elif ! [ -e "$stamps/minkowski" ] && found=$("$python" envs/minkowski/selftest.py 2> /dev/null); then
    echo "$found: kept"
    echo "$recipe" > "$stamps/minkowski"
  else
    return 1
  fi
}
if reason=$(kept); then
  step 3 "$reason"
else
  code=0
  { reason=$(envs/minkowski/build.sh "$venv" "$venv/log/minkowski.log" 2>&1 >&3) || code=$?; } 3>&1
  if [ "$code" = 0 ]; then
    echo "$recipe" > "$stamps/minkowski"
    for name in "${told[@]}"; do echo "${!name:-}" > "$stamps/$name"; done
    rm -f "$stamps/minkowski-failed"
  else
    step 3 "MinkowskiEngine: not built, ${reason:-see .venv/log/minkowski.log}; $without"
    # 3: something is missing, which costs nothing to find again; a failed compilation takes minutes
    [ "$code" = 3 ] || echo "$recipe" > "$stamps/minkowski-failed"
    # an older one that was built for another torch would only crash
    "$python" envs/minkowski/selftest.py > /dev/null 2>&1 ||
      "$python" -m pip uninstall --yes MinkowskiEngine >> "$venv/log/minkowski.log" 2>&1
    rm -f "$stamps/minkowski"
  fi
fi

# --- 4. does it work --------------------------------------------------------------------------------------------------------
checked=$(key "$packages $recipe ${MINKOWSKI:-auto}" ignet/cli/doctor.py)
if fresh checked "$checked" ignet; then
  step 4 "check: passed before"
else
  step 4 "check: a convolution on every engine and device"
  "$python" -m ignet doctor --brief || fail "the environment does not work; .venv/bin/python -m ignet doctor says why"
  echo "$checked" > "$stamps/checked"
fi
command -v chromium chromium-browser google-chrome > /dev/null ||
  echo "note: no Chromium, so make test leaves out what looks at the report in a browser (Debian, Ubuntu: apt install chromium)"
echo "set-up done in $((SECONDS - start)) s"
