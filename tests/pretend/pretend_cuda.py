"""A pretend CUDA device, for machines without one: its tensors say ``cuda:0``, and compute on the CPU.

What a GPU would refuse raises `DeviceMismatch`: operands on two devices, a generator of the CPU, CUDA in a forked
process. What it would do is counted, with the project's line that asked for it: waits of the host for the device,
copies that block, operators (about the number of kernels). It shows no numbers of CUDA's kernels, no faults inside of
them, and no speed.

Import it before torch: a device is made known to torch's C++ part, by a library that is compiled once (g++, half a
minute). A CPU build of torch only.
"""

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

SOURCE = Path(__file__).with_name("device.cpp")


def add_device() -> None:
    """Give torch's C++ part a device cuda:0 that does nothing; it asks only once, at its first import."""
    if "torch" in sys.modules:
        raise RuntimeError("found torch imported already, expected pretend_cuda to be imported first")
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    package, version = Path(spec.origin).parent, importlib.metadata.version("torch")
    if (package / "lib" / "libtorch_cuda.so").exists():
        raise RuntimeError("found a CUDA build of torch, expected one for the CPU")
    # linked to this torch by its path, so another environment's library does not serve here
    made_of = zlib.crc32(SOURCE.read_bytes() + os.fsencode(package))
    name = f"ignet-pretend-cuda-{version}-{os.getuid()}-{made_of:08x}.so"
    library = Path(tempfile.gettempdir(), name)
    if not library.exists():
        made = library.with_suffix(f".{os.getpid()}.so")
        command = ["g++", "-std=c++20", "-shared", "-fPIC", SOURCE, "-o", made, f"-I{package}/include"]
        command += [f"-L{package}/lib", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{package}/lib"]
        subprocess.run([str(part) for part in command], check=True)
        made.replace(library)
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


add_device()

import torch  # noqa: E402
from torch.nn.utils import clip_grad  # noqa: E402
from torch.utils import _foreach_utils  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten  # noqa: E402

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
# the size of their result depends on the data, so that CUDA waits for it
WAITS = re.compile(
    "nonzero|_unique2?|unique_(dim|consecutive)|masked_select|bincount|_local_scalar_dense|equal|is_nonzero"
)
INDEXING = {"index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index"}
# give another view, or memory that nothing is written to
FREE = re.compile(
    "(_unsafe_|_reshape_)?(view|alias)|transpose|t|permute|select|slice|split(_with_sizes)?|unbind|(un)?squeeze|expand|"
    "detach|as_strided|reshape|diagonal|narrow|lift_fresh|unfold|chunk|(new_)?empty(_like|_strided)?|is_same_size|"
    "resolve_(conj|neg)"
)
PLACES = ("/ignet/", "/workflow/scripts/", "/tests/")
PINNED = "_pretends_to_be_pinned"


class DeviceMismatch(RuntimeError):
    """What CUDA would refuse."""


class DeviceTensor(torch.Tensor):
    """A tensor on the pretend device; ``inner`` holds its numbers."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor, requires_grad: bool = False) -> "DeviceTensor":
        shape = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "layout": inner.layout}
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), dtype=inner.dtype, device=CUDA, requires_grad=requires_grad, **shape
        )
        made.inner = inner
        return made

    def __repr__(self, **_: Any) -> str:
        return f"DeviceTensor({tuple(self.shape)}, {self.dtype})"

    def __deepcopy__(self, memo: dict) -> "DeviceTensor":
        if id(self) not in memo:
            copy = self.detach().clone().requires_grad_(self.requires_grad)
            copy.__dict__.update({key: value for key, value in self.__dict__.items() if key == "_is_param"})
            memo[id(self)] = copy
        return memo[id(self)]

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    __array__ = numpy

    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
        made = torch.tensor(data, dtype=dtype or self.dtype, device=CUDA if device is None else device)
        return made.requires_grad_() if requires_grad else made

    def __reduce_ex__(self, protocol: int) -> Any:
        if GPU is not None:
            GPU.note("wait", "torch.save")
        return self.inner.detach().__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if GPU is None:
            raise RuntimeError(f"{func}: a device tensor outside of PretendCuda")
        return GPU.call(func, args, kwargs or {})


GPU: "PretendCuda | None" = None


def place() -> str:
    """The project's innermost line on the stack."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name != __file__ and "site-packages" not in name and any(part in name for part in PLACES):
            return f"{name[max(name.rfind(part) for part in PLACES) + 1 :]}:{frame.f_lineno}"
        frame = frame.f_back
    return "(autograd)"


class PretendCuda(TorchDispatchMode):
    """Use it as a context; see the module.

    Attributes:
        events: (kind, what, place) -> how often; kinds are wait, copy (one that blocks) and async.
        operators: name -> how often.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: Counter = Counter()
        self.operators: Counter = Counter()
        self._process = os.getpid()

    def __enter__(self) -> "PretendCuda":
        global GPU
        properties = SimpleNamespace(name="pretend", total_memory=80 * 2**30, major=9, minor=0)
        values = {
            "is_available": lambda: True, "device_count": lambda: 1, "current_device": lambda: 0,
            "_lazy_init": lambda: None, "is_initialized": lambda: True, "is_bf16_supported": lambda *_, **__: True,
            "set_device": lambda _: None, "synchronize": lambda *_: self.note("wait", "torch.cuda.synchronize"),
            "get_rng_state": lambda *_: torch.zeros(16, dtype=torch.uint8), "set_rng_state": lambda *_: None,
            "manual_seed_all": lambda _: None, "manual_seed": lambda _: None, "get_device_name": lambda *_: "pretend",
            "get_device_properties": lambda *_: properties, "get_device_capability": lambda *_: (9, 0),
            "is_current_stream_capturing": lambda: False, "empty_cache": lambda: None,
            "_is_in_bad_fork": lambda: os.getpid() != self._process,
            "Event": lambda *_, **__: SimpleNamespace(record=lambda *_: None, synchronize=lambda: None),
        }  # fmt: skip
        self._patches = contextlib.ExitStack()
        for name, value in values.items():
            self._patches.enter_context(mock.patch.object(torch.cuda, name, value))
        for name in ("tensor", "as_tensor"):  # which make theirs below Python's reach
            self._patches.enter_context(mock.patch.object(torch, name, _on_device(getattr(torch, name))))
        empty = torch.empty
        self._patches.enter_context(mock.patch.object(torch, "empty", lambda *a, **k: _pinned(empty, a, k)))
        self._patches.enter_context(mock.patch.object(torch.Tensor, "pin_memory", _pin))
        for module in (_foreach_utils, clip_grad):  # torch asks for its own class, of which ours is another
            self._patches.enter_context(mock.patch.object(module, "_has_foreach_support", return_value=True))
        # a module's parameters become new ones: the shallow copy that `Module.to` else makes would lose the class
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        GPU = self
        return super().__enter__()

    def __exit__(self, *error: Any) -> Any:
        global GPU
        result, GPU = super().__exit__(*error), None
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        self._patches.close()
        return result

    def note(self, kind: str, what: str) -> None:
        """Count an event at the project's line."""
        self.events[kind, what, place()] += 1

    def count(self, kind: str) -> int:
        """How many events of a kind."""
        return sum(count for (one, _, _), count in self.events.items() if one == kind)

    @property
    def kernels(self) -> int:
        """Operators that compute something."""
        return sum(count for name, count in self.operators.items() if not FREE.fullmatch(name))

    def reset(self) -> None:
        """Count anew."""
        self.events.clear()
        self.operators.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.call(func, args, kwargs or {})

    def call(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """One operator."""
        flat, spec = tree_flatten((args, kwargs))
        device = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        name = func._schema.name.partition("::")[2]
        on_device = any(isinstance(value, DeviceTensor) for value in flat)
        if not on_device and (device is None or device.type != "cuda"):
            return func(*args, **kwargs)
        if os.getpid() != self._process:
            raise DeviceMismatch(f"{name}: CUDA in a forked process at {place()}")
        self.operators[name] += 1
        if name in ("_to_copy", "copy_"):
            return self._copy(func, name, args, kwargs, device)
        if on_device:
            self._check(name, args, flat)
        if WAITS.fullmatch(name) or (name in INDEXING and _has_mask(args[1])):
            self.note("wait", name)
        plain, options = tree_unflatten([_inner(value) for value in flat], spec)
        result = func(*plain, **({**options, "device": CPU} if device is not None else options))
        return result if device is not None and device.type == "cpu" else _give(func._schema, args, kwargs, result)

    def _copy(self, func: Any, name: str, args: tuple, kwargs: dict, device: Any) -> Any:
        in_place = name == "copy_"
        source = args[1] if in_place else args[0]
        from_device = isinstance(source, DeviceTensor)
        to_device = isinstance(args[0], DeviceTensor) if in_place else device.type == "cuda" if device else from_device
        host = source if to_device else args[0] if in_place else None
        later = args[2] if in_place and len(args) > 2 else kwargs.get("non_blocking")
        # without a destination, torch copies from the device to pinned memory
        later = later and (host is None or hasattr(host, PINNED))
        if to_device != from_device:
            self.note("async" if later else "copy", f"{'to' if to_device else 'from'} the device, {name}")
            if not later and from_device:
                self.note("wait", f"copy to the CPU, {name}")
        if in_place:
            _inner(args[0]).copy_(_inner(source))
            return args[0]
        options = {**kwargs, "device": CPU, "non_blocking": False, "pin_memory": None}
        result = func(_inner(source), **{key: value for key, value in options.items() if value is not None})
        if not to_device:
            return result
        return DeviceTensor(result.clone() if result is source else result)

    @staticmethod
    def _check(name: str, args: tuple, flat: list) -> None:
        if any(isinstance(value, torch.Generator) and value.device.type == "cpu" for value in flat):
            raise DeviceMismatch(f"{name}: a generator of the CPU at {place()}")
        others = [value for value in flat if isinstance(value, torch.Tensor) and not isinstance(value, DeviceTensor)]
        large = [value for value in others if value.dim()]
        strict = name in ("cat", "stack", "index_select", "mm", "addmm", "bmm", "gather", "scatter", "embedding")
        if large or (others and (strict or name.startswith("_fused_adam"))):
            raise DeviceMismatch(f"{name}: a tensor of the CPU, {tuple(others[0].shape)}, at {place()}")


def _has_mask(indices: Any) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, DeviceTensor) else value


def _give(schema: Any, args: tuple, kwargs: dict, result: Any) -> Any:
    """Wrap what is new, and hand back the very tensors that were written into."""
    written = {}
    for number, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            positional = not argument.kwarg_only and number < len(args)
            given = args[number] if positional else kwargs.get(argument.name)
            written |= dict.fromkeys(argument.alias_info.after_set | argument.alias_info.before_set, given)
    if not schema.returns:
        return None
    several = isinstance(result, tuple | list) and len(schema.returns) > 1
    values = []
    for value, declared in zip(result if several else (result,), schema.returns, strict=False):
        alias = declared.alias_info
        if alias is not None and alias.is_write:
            values.append(written[next(iter(alias.after_set | alias.before_set))])
        else:
            values.append(tree_map(lambda one: DeviceTensor(one) if type(one) is torch.Tensor else one, value))
    return type(result)(values) if several else values[0]


def _on_device(make: Any) -> Any:
    def made(data: Any, dtype: Any = None, device: Any = None, **options: Any) -> Any:
        if isinstance(data, torch.Tensor):
            return data.to(device=device or data.device, dtype=dtype or data.dtype)
        plain = make(data, dtype=dtype, **options)
        return plain if device is None or torch.device(device).type != "cuda" else plain.to(CUDA)

    return made


def _pin(tensor: torch.Tensor) -> torch.Tensor:
    pinned = tensor.clone()
    setattr(pinned, PINNED, True)
    return pinned


def _pinned(empty: Any, args: tuple, kwargs: dict) -> torch.Tensor:
    made = empty(*args, **{key: value for key, value in kwargs.items() if key != "pin_memory"})
    if kwargs.get("pin_memory"):
        setattr(made, PINNED, True)
    return made
