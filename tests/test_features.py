"""The feature store: number formats, processes, broken files."""

import multiprocessing
from pathlib import Path

import h5py
import numpy as np
import pytest

from ignet.data.features.pca import PCA, Classifier
from ignet.data.features.store import FeatureStore, FeatureWriter, channel_statistics, check_stores, int8_scale
from ignet.errors import IgnetError

CHANNELS = 5


def frames(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    sizes = {"000000": 30, "000001": 0, "000012": 11}
    return {
        frame: (
            np.sort(rng.choice(500, size, replace=False)).astype(np.int32),
            (rng.normal(size=(size, CHANNELS)) * [1, 10, 0.01, 0, 3]).astype(np.float32),
        )
        for frame, size in sizes.items()
    }


def write(path: Path, dtype: str = "float32", scale: np.ndarray | None = None) -> Path:
    with FeatureWriter(path, CHANNELS, dtype, scale, {"teacher": "abc", "settings": "{}"}) as writer:
        for frame, (index, feature) in frames().items():
            writer.add(frame, index, feature)
    return path


def read_in_child(store: FeatureStore, frame: str) -> tuple[np.ndarray, np.ndarray]:
    return store.read(frame)


def test_float32_is_exact_and_float16_rounds(tmp_path: Path) -> None:
    for dtype, tolerance in (("float32", 0.0), ("float16", 2**-11)):
        store = FeatureStore(write(tmp_path / f"{dtype}.h5", dtype))
        assert (store.frames, store.channels, store.dtype) == (list(frames()), CHANNELS, dtype)
        assert store.attributes == {"teacher": "abc", "settings": "{}"}
        for frame, (index, feature) in frames().items():
            found_index, found = store.read(frame)
            np.testing.assert_array_equal(found_index, index)
            assert (found_index.dtype, found.dtype) == (np.int32, np.float32)
            np.testing.assert_allclose(found, feature, rtol=tolerance, atol=0)


def test_int8_errs_by_half_a_step_of_its_channel(tmp_path: Path) -> None:
    scale = int8_scale([feature for _, feature in frames().values()])
    assert scale.dtype == np.float32
    store = FeatureStore(write(tmp_path / "00.h5", "int8", scale))
    for frame, (_, feature) in frames().items():
        found = store.read(frame)[1]
        assert found.dtype == np.float32
        assert (np.abs(found - feature) <= 0.5001 * scale).all()
    with h5py.File(tmp_path / "00.h5", locking=False) as file:
        assert file["feature"].dtype == np.int8
        assert np.abs(file["feature"][:]).max() == 127


def test_int8_worked_by_hand(tmp_path: Path) -> None:
    np.testing.assert_allclose(
        int8_scale([np.array([[-254, 0.0]], np.float32), np.array([[127, 0.0]], np.float32)]), [2, 1]
    )
    with FeatureWriter(tmp_path / "00.h5", 2, "int8", np.array([2, 0.5], np.float32)) as writer:
        writer.add("000000", np.array([3, 9], np.int32), np.array([[4.9, -0.2], [1000, -1000]], np.float32))
    assert FeatureStore(tmp_path / "00.h5").read("000000")[1].tolist() == [[4, 0], [254, -63.5]]


def test_what_is_not_finite_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    for dtype, scale, value in (
        ("int8", np.ones(1), np.inf),
        ("int8", np.ones(1), np.nan),
        ("float16", None, 1e6),
        ("float32", None, np.nan),
    ):
        with (
            pytest.raises(IgnetError, match=f"frame 000007 has features that are not finite as {dtype}"),
            FeatureWriter(tmp_path / "00.h5", 1, dtype, scale) as writer,
        ):
            writer.add("000007", np.array([0], np.int32), np.array([[value]], np.float32))
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_older_store(tmp_path: Path) -> None:
    path = write(tmp_path / "00.h5")
    with pytest.raises(KeyError), FeatureWriter(path, CHANNELS, "float32"):
        raise KeyError
    assert FeatureStore(path).frames == list(frames())
    assert list(tmp_path.iterdir()) == [path]


def test_wrong_use(tmp_path: Path) -> None:
    for channels, dtype, scale in (
        (2, "int8", None),
        (2, "float32", np.ones(2)),
        (2, "int8", np.ones(3)),
        (2, "int8", np.zeros(2)),
        (2, "int4", None),
    ):
        with pytest.raises(ValueError, match=r"scale|dtype"):
            FeatureWriter(tmp_path / "00.h5", channels, dtype, scale)
    one = np.zeros(1, np.int32)
    with (
        pytest.raises(ValueError, match="columns of shapes"),
        FeatureWriter(tmp_path / "00.h5", 2, "float32") as writer,
    ):
        writer.add("000000", one, np.zeros((1, 3), np.float32))
    with (
        pytest.raises(ValueError, match="columns of shapes"),
        FeatureWriter(tmp_path / "00.h5", 2, "float32") as writer,
    ):
        writer.add("000000", one, np.zeros((2, 2), np.float32))
    with FeatureWriter(tmp_path / "00.h5", 2, "float32") as writer:
        writer.add("000001", one, np.zeros((1, 2), np.float32))
        for name in ("a b", "000001", "ü", ".12"):
            with pytest.raises(IgnetError, match="letters, digits, .* each once"):
                writer.add(name, one, np.zeros((1, 2), np.float32))
    assert FeatureStore(tmp_path / "00.h5").frames == ["000001"]


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a.h5").read_bytes() == write(tmp_path / "b.h5").read_bytes()


def test_broken_stores(tmp_path: Path) -> None:
    path = tmp_path / "00.h5"
    with pytest.raises(IgnetError, match=r"00\.h5: no such file, .* run the rule features"):
        FeatureStore(path)
    whole = write(path).read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(IgnetError, match="cannot be opened") as error:
            FeatureStore(path)
        assert "\n" not in str(error.value)
    for attribute, value in (("version", 99), ("layout", "correspondence")):
        with h5py.File(write(path), "a") as file:
            file.attrs[attribute] = value
        with pytest.raises(IgnetError, match=f"found layout .*{value}.*expected a whole features file of version 4"):
            FeatureStore(path)
    with h5py.File(write(path), "a") as file:
        file["feature"].resize(10, axis=0)
    with pytest.raises(IgnetError, match="columns that end before its last scan"):
        FeatureStore(path)
    with h5py.File(write(path), "a") as file:
        del file["scale"]
    with pytest.raises(IgnetError, match="found no dataset scale"):
        FeatureStore(path)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_channel_statistics_are_those_of_all_points_as_read(tmp_path: Path, dtype: str) -> None:
    scale = int8_scale([feature for _, feature in frames().values()]) if dtype == "int8" else None
    stores = [FeatureStore(write(tmp_path / f"{name}.h5", dtype, scale)) for name in ("00", "01")]
    read = np.concatenate([store.read(frame)[1] for store in stores for frame in store.frames]).astype(np.float64)
    mean, deviation = channel_statistics(stores)
    np.testing.assert_allclose(mean, read.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(deviation, np.where(read.std(axis=0) > 0, read.std(axis=0), 1), rtol=1e-5)


def test_the_classifier_comes_along(tmp_path: Path) -> None:
    classifier = Classifier(np.arange(6, dtype=np.float32).reshape(3, 2), np.ones(3, np.float32))
    with FeatureWriter(tmp_path / "00.h5", 2, "float32", classifier=classifier) as writer:
        writer.add("000000", np.arange(4, dtype=np.int32), np.ones((4, 2), np.float32))
    found = FeatureStore(tmp_path / "00.h5").classifier
    assert found is not None
    assert all(np.array_equal(a, b) for a, b in zip(found, classifier, strict=True))
    assert FeatureStore(write(tmp_path / "01.h5")).classifier is None


def test_channel_statistics_of_a_constant_channel(tmp_path: Path) -> None:
    with FeatureWriter(tmp_path / "00.h5", 2, "float32") as writer:
        writer.add("000000", np.arange(4, dtype=np.int32), np.array([[3, 0.1]] * 4, np.float32))
    mean, deviation = channel_statistics([FeatureStore(tmp_path / "00.h5")])
    np.testing.assert_allclose(mean, [3, 0.1])
    np.testing.assert_array_equal(deviation, [1, 1])


def test_unknown_frame(tmp_path: Path) -> None:
    store = FeatureStore(write(tmp_path / "00.h5"))
    assert "000012" in store
    assert "000013" not in store
    assert len(store) == 3
    with pytest.raises(IgnetError, match="found no frame 000013"):
        store.read("000013")


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_for_themselves(tmp_path: Path, method: str) -> None:
    """The parent has the file open when its workers start, as a DataLoader's parent may have."""
    store = FeatureStore(write(tmp_path / "00.h5"))
    store.read("000000")
    names = ["000000", "000012"] * 5
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.starmap(read_in_child, [(store, name) for name in names])
    for name, (index, feature) in zip(names, found, strict=True):
        np.testing.assert_array_equal(index, frames()[name][0])
        np.testing.assert_array_equal(feature, frames()[name][1])
    np.testing.assert_array_equal(store.read("000012")[1], frames()["000012"][1])


def test_forked_child_reopens_an_inherited_handle(tmp_path: Path) -> None:
    """A fork that shares the object itself, as DataLoader workers do: nothing is pickled."""
    store = FeatureStore(write(tmp_path / "00.h5"))
    store.read("000000")
    handle = store._handle
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        feature = store.read("000012")[1]
        sender.send((store._handle is not handle, feature))

    process = context.Process(target=child)
    process.start()
    reopened, feature = receiver.recv()
    process.join(30)
    assert process.exitcode == 0
    assert reopened
    np.testing.assert_array_equal(feature, frames()["000012"][1])
    np.testing.assert_array_equal(store.read("000000")[1], frames()["000000"][1])
    assert store._handle is handle


def damage(path: Path, frame: str) -> None:
    """One bit of one stored feature changes, as on a failing disk; the file's structure stays whole."""
    with h5py.File(path, "a") as file:
        row = int(file["offset"][list(file["scan"][:]).index(frame.encode())])
        file["feature"][row, 0] = -file["feature"][row, 0]


def test_a_changed_byte_is_found_where_it_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "00.h5")
    damage(path, "000012")
    store = FeatureStore(path)
    np.testing.assert_array_equal(store.read("000000")[1], frames()["000000"][1])
    with pytest.raises(IgnetError, match=r"00\.h5: frame 000012 has checksum .* damaged.*run the rule features"):
        store.read("000012")
    assert FeatureStore(path, verify=False).read("000012")[1].shape == (11, CHANNELS)


def test_a_changed_point_number_is_found_too(tmp_path: Path) -> None:
    path = write(tmp_path / "00.h5")
    with h5py.File(path, "a") as file:
        file["index"][0] += 1
    with pytest.raises(IgnetError, match="frame 000000 has checksum"):
        FeatureStore(path).read("000000")


def test_stores_of_another_teacher_or_pca_are_refused(tmp_path: Path) -> None:
    def store(name: str, network: str, pca: PCA | None = None, channels: int = 2) -> FeatureStore:
        with FeatureWriter(tmp_path / name, channels, "float32", attributes={"network": network}, pca=pca) as writer:
            writer.add("000000", np.arange(2, dtype=np.int32), np.ones((2, channels), np.float32))
        return FeatureStore(tmp_path / name)

    one, same, other = store("a.h5", "1" * 64), store("b.h5", "1" * 64), store("c.h5", "2" * 64)
    check_stores([one, same], "1" * 64)
    check_stores([one, same])
    with pytest.raises(
        IgnetError,
        match=r"a\.h5: holds features of the 2D network 1{12}, expected those of 2{12}.*run the rule features",
    ):
        check_stores([one, same], "2" * 64)
    with pytest.raises(IgnetError, match=r"c\.h5: holds features of another 2D network than .*a\.h5"):
        check_stores([one, other])
    turned = PCA(np.zeros(3, np.float32), np.eye(3, dtype=np.float32)[[1, 0]])
    straight = PCA(np.zeros(3, np.float32), np.eye(3, dtype=np.float32)[:2])
    based, rebased = store("d.h5", "1" * 64, straight), store("e.h5", "1" * 64, turned)
    check_stores([based, store("f.h5", "1" * 64, straight)])
    for pair in ([based, rebased], [one, based], [based, one]):
        with pytest.raises(IgnetError, match="another PCA"):
            check_stores(pair)
    with pytest.raises(IgnetError, match="different numbers of channels"):
        check_stores([one, store("g.h5", "1" * 64, channels=3)])
