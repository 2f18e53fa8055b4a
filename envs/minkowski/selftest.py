"""Does the MinkowskiEngine on the path compute a convolution and its gradients? Prints one line; a wrong number or a
crash is a nonzero exit code.
"""

import sys

import torch

from ignet.cli.doctor import TOLERANCE, convolution_difference
from ignet.models.sparse.minkowski_engine import supports_cuda  # whose import makes MinkowskiEngine importable

import MinkowskiEngine  # isort: skip

if __name__ == "__main__":
    devices = ["cpu", *["cuda"] * (torch.cuda.is_available() and supports_cuda())]
    for device in devices:
        if not (difference := convolution_difference("minkowski", device)) <= TOLERANCE:
            sys.exit(f"error: on {device} a convolution differs from a dense one by {difference:.1g}")
    build = "CUDA" if supports_cuda() else "the CPU"
    version = f"MinkowskiEngine {MinkowskiEngine.__version__}"
    print(f"{version}, built for {build} and torch {torch.__version__}, computes on {', '.join(devices)}")
