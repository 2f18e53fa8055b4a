"""Does this MinkowskiEngine compute a convolution and its gradient? Prints one line; a wrong number or a crash is a
nonzero exit code.

A 3x3x3 kernel whose centre is 2 x identity and whose +x neighbour is 3 x identity, on two voxels that are neighbours
along x: out[left] = 2 left + 3 right, out[right] = 2 right; the gradient of the sum is 2 for left and 2 + 3 for right.
"""

import collections
import collections.abc
import warnings

collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]  # 0.5.4 looks where Python had it before 3.10
warnings.simplefilter("ignore")

import MinkowskiEngine  # noqa: E402
import torch  # noqa: E402


def check(device: str) -> None:
    coordinates = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.int32, device=device)
    features = torch.tensor([[1.0, 10.0], [2.0, 20.0]], device=device, requires_grad=True)
    layer = MinkowskiEngine.MinkowskiConvolution(2, 2, kernel_size=3, dimension=3).to(device)
    with torch.no_grad():
        layer.kernel.zero_()
        layer.kernel[13] = 2 * torch.eye(2)  # the centre: 1 + 3 + 9
        layer.kernel[14] = 3 * torch.eye(2)  # one step along the first axis
    voxels = MinkowskiEngine.SparseTensor(features, coordinates=coordinates)
    out = layer(voxels)
    out.F.sum().backward()
    order = out.C[:, 1].argsort()
    expected = torch.tensor([[8.0, 80.0], [4.0, 40.0]], device=device)
    gradient = torch.tensor([[2.0, 2.0], [5.0, 5.0]], device=device)
    torch.testing.assert_close(out.F[order], expected)
    torch.testing.assert_close(features.grad, gradient)


if __name__ == "__main__":
    devices = ["cpu"]
    if torch.cuda.is_available() and MinkowskiEngine.is_cuda_available():
        devices.append("cuda")
    for name in devices:
        check(name)
    build = "CUDA" if MinkowskiEngine.is_cuda_available() else "the CPU"
    print(
        f"MinkowskiEngine {MinkowskiEngine.__version__}, built for {build} and torch {torch.__version__}, "
        f"computes on {', '.join(devices)}"
    )
