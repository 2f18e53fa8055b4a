"""The benchmark's zip file: written, and every fault of one found."""

import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from ignet.cli.main import main
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.errors import IgnetError
from ignet.evaluate import submission
from ignet.evaluate.submission import TEST_SCANS, RefusedError, check_submission, list_scans, write_submission

SEQUENCES = ("11", "21")
LABELS = [f"sequences/{sequence}/predictions/00000{number}.label" for sequence in SEQUENCES for number in (0, 1)]


@pytest.fixture
def scans(make_tree: Callable[..., Path]) -> Path:
    """Test sequences as they are published: scans without labels."""
    root = make_tree("test", SEQUENCES)
    for sequence in SEQUENCES:
        shutil.rmtree(root / "sequences" / sequence / "labels")
        shutil.rmtree(root / "sequences" / sequence / "scribbles")
    return root


@pytest.fixture
def predictions(scans: Path, tmp_path: Path) -> Path:
    """A prediction for each scan."""
    rng = np.random.default_rng(0)
    for name in LABELS:
        path = tmp_path / "predictions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        SEMANTICKITTI.to_raw_ids(rng.integers(0, 19, 400).astype(np.uint8)).tofile(path)
    return tmp_path / "predictions"


@pytest.fixture
def written(scans: Path, predictions: Path, tmp_path: Path) -> Path:
    """A whole submission."""
    write_submission(tmp_path / "out" / "submission.zip", predictions, list_scans(scans, SEQUENCES), SEMANTICKITTI)
    return tmp_path / "out" / "submission.zip"


def benchmark_rules(path: Path, dataset: Path, sequences: Iterable[str]) -> None:
    """What the benchmark demands of a submission, once more, from its published description."""
    with zipfile.ZipFile(path) as file:
        sizes = {entry.filename: entry.file_size for entry in file.infolist()}
    assert "sequences/" in sizes
    for sequence in sequences:
        assert f"sequences/{sequence}/" in sizes and f"sequences/{sequence}/predictions/" in sizes
        for scan in (dataset / "sequences" / sequence / "velodyne").iterdir():
            assert sizes[f"sequences/{sequence}/predictions/{scan.stem}.label"] * 4 == scan.stat().st_size


def rewritten(path: Path, change: Callable[[str, bytes], list[tuple[str, bytes]]]) -> Path:
    """The zip file with each entry replaced."""
    with zipfile.ZipFile(path) as file:
        entries = [(entry.filename, file.read(entry)) for entry in file.infolist()]
    other = path.with_name("other.zip")
    with zipfile.ZipFile(other, "w") as file:
        for name, data in entries:
            for new_name, new_data in change(name, data):
                file.writestr(new_name, new_data)
    return other


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["submit", *map(str, arguments)])
    return int(stop.value.code or 0)


def test_written_as_the_benchmark_wants_it(scans: Path, predictions: Path, written: Path) -> None:
    benchmark_rules(written, scans, SEQUENCES)
    with zipfile.ZipFile(written) as file:
        assert file.namelist()[:3] == ["sequences/", "sequences/11/", "sequences/11/predictions/"]
        assert all(entry.is_dir() == entry.filename.endswith("/") for entry in file.infolist())
        for name in LABELS:
            assert file.read(name) == (predictions / name).read_bytes()
        file.extractall(written.parent / "unpacked")
    assert (written.parent / "unpacked" / LABELS[0]).stat().st_mode & 0o777 >= 0o600
    assert check_submission(written, list_scans(scans, SEQUENCES), SEMANTICKITTI) == []


def test_equal_predictions_give_equal_bytes(scans: Path, predictions: Path, written: Path, tmp_path: Path) -> None:
    for path in predictions.rglob("*.label"):
        path.touch()
    write_submission(tmp_path / "again.zip", predictions, list_scans(scans, SEQUENCES), SEMANTICKITTI)
    assert (tmp_path / "again.zip").read_bytes() == written.read_bytes()


def test_unpacked_anywhere_it_can_be_read_and_no_time_is_in_it(written: Path) -> None:
    with zipfile.ZipFile(written) as file:
        for entry in file.infolist():
            mode = 0o40755 if entry.is_dir() else 0o100644
            assert (entry.create_system, oct(entry.external_attr >> 16)) == (3, oct(mode)), entry.filename
            assert (entry.external_attr & 0xFFFF, entry.date_time) == (0x10 * entry.is_dir(), (1980, 1, 1, 0, 0, 0))


def without(*prefixes: str) -> Callable[[str, bytes], list[tuple[str, bytes]]]:
    return lambda name, data: [] if name in prefixes else [(name, data)]


def first_label(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[str, bytes], list[tuple[str, bytes]]]:
    return lambda name, data: [
        (name, change(np.frombuffer(data, "<u4").copy()).tobytes() if name == LABELS[0] else data)
    ]


def put(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(labels: np.ndarray) -> np.ndarray:
        labels[:3] = value
        return labels

    return change


FAULTS = [
    (without("sequences/"), ["found no entry 'sequences/'"]),
    (without("sequences/21/predictions/"), ["found no entry 'sequences/21/predictions/'"]),
    (without("sequences/", "sequences/11/"), ["found no entry 'sequences/'", "found no entry 'sequences/11/'"]),
    (without(LABELS[1], LABELS[2]), [f"{LABELS[1]}: no such file", f"{LABELS[2]}: no such file"]),
    (first_label(lambda labels: labels[:-1]), [f"{LABELS[0]}: found 1596 bytes, expected 1600"]),
    (first_label(put(0)), [f"{LABELS[0]}: found id 0 on 3 points"]),
    (first_label(put(99)), ["found id 99 on 3 points"]),
    (first_label(put(300)), ["found id 300 on 3 points"]),
    (
        first_label(lambda labels: np.arange(400, dtype="<u4") + 300),
        [f"id {', '.join(map(str, range(300, 308)))} on 400"],
    ),
    (first_label(lambda labels: np.arange(400, dtype="<u4") % 19 + 1), ["may be train ids"]),
    (
        lambda name, data: [(name, data), (f"__MACOSX/{name}", b"")] if name == LABELS[0] else [(name, data)],
        ["found __MACOSX/sequences/11/predictions/000000.label, expected nothing but"],
    ),
    (lambda name, data: [(name.replace("21", "22"), data)], None),
    (lambda name, data: [(f"mine/{name}", data)], None),
]


@pytest.mark.parametrize(("change", "expected"), FAULTS)
def test_every_fault_is_found(scans: Path, written: Path, change: Callable, expected: list[str] | None) -> None:
    faults = check_submission(rewritten(written, change), list_scans(scans, SEQUENCES), SEMANTICKITTI)
    assert not any("\n" in fault for fault in faults)
    if expected is None:
        assert len(faults) > 3
        return
    assert len(faults) == len(expected), faults
    for fault, said in zip(faults, expected, strict=True):
        assert said in fault and fault.startswith(str(written.parent))


def test_moving_classes_and_instances_count(scans: Path, written: Path) -> None:
    moved = rewritten(written, first_label(put(252 | 5 << 16)))
    assert check_submission(moved, list_scans(scans, SEQUENCES), SEMANTICKITTI) == []


def test_an_entry_twice(scans: Path, written: Path) -> None:
    with zipfile.ZipFile(written, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr(LABELS[0], file.read(LABELS[0]))
    (fault,) = check_submission(written, list_scans(scans, SEQUENCES), SEMANTICKITTI)
    assert f"found '{LABELS[0]}' 2 times" in fault


def test_a_damaged_file(scans: Path, written: Path) -> None:
    data = bytearray(written.read_bytes())
    with zipfile.ZipFile(written) as file:
        place = file.getinfo(LABELS[2]).header_offset + 100
    data[place : place + 20] = bytes(20)
    written.write_bytes(data)
    (fault,) = check_submission(written, list_scans(scans, SEQUENCES), SEMANTICKITTI)
    assert f"{LABELS[2]}: cannot be unpacked" in fault


def test_not_a_zip_file(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"nothing")
    for name in ("a.zip", "b.zip"):
        with pytest.raises(IgnetError, match=rf"{name}: cannot be read .* expected a zip file"):
            check_submission(tmp_path / name, list_scans(scans, SEQUENCES), SEMANTICKITTI)


def test_name_ends_in_zip(scans: Path, predictions: Path, written: Path, tmp_path: Path) -> None:
    with pytest.raises(IgnetError, match=r"a\.tar: found no \.zip"):
        write_submission(tmp_path / "a.tar", predictions, list_scans(scans, SEQUENCES), SEMANTICKITTI)
    written.rename(tmp_path / "a.ZIPPED")
    assert "rename it" in check_submission(tmp_path / "a.ZIPPED", list_scans(scans, SEQUENCES), SEMANTICKITTI)[0]


def test_faulty_predictions_leave_nothing(scans: Path, predictions: Path, tmp_path: Path) -> None:
    (predictions / LABELS[0]).unlink()
    np.zeros(400, "<u4").tofile(predictions / LABELS[3])
    (tmp_path / "out").mkdir()
    with pytest.raises(RefusedError) as error:
        write_submission(tmp_path / "out" / "a.zip", predictions, list_scans(scans, SEQUENCES), SEMANTICKITTI)
    assert [LABELS[0] in error.value.faults[0], "found id 0 on 400 points" in error.value.faults[1]] == [True, True]
    assert len(error.value.faults) == 2 and "found 2 faults" in str(error.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_scans_must_be_there(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(TEST_SCANS.values()) == 20351 and list(TEST_SCANS) == [str(number) for number in range(11, 22)]
    assert list_scans(scans, SEQUENCES) == {sequence: {"000000": 400, "000001": 400} for sequence in SEQUENCES}
    monkeypatch.setattr(submission, "TEST_SCANS", {"11": 921})
    with pytest.raises(
        IgnetError, match=r"found 2 scans, no 000002.bin, .* and 916 more, expected 921, .*; unpack data_od"
    ):
        list_scans(scans, None)
    monkeypatch.setattr(submission, "TEST_SCANS", {"11": 1})
    beyond = r"found 2 scans, 000001.bin beyond the benchmark's, expected 1, .*; remove what is too much"
    with pytest.raises(IgnetError, match=beyond):
        list_scans(scans, None)
    monkeypatch.setattr(submission, "TEST_SCANS", {"11": 2})
    assert list_scans(scans, None) == {"11": {"000000": 400, "000001": 400}}
    with pytest.raises(IgnetError, match="no such sequence"):
        list_scans(scans, ["12"])
    for name in ("000000", "000001"):
        path = kitti.scan_path(scans, "11", name)
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IgnetError, match=r"000000\.bin: found 6399 bytes"):
        list_scans(scans, SEQUENCES)


def test_command_line(scans: Path, predictions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, text = tmp_path / "a.zip", tmp_path / "about.txt"
    text.write_text("method name: test\n")
    common = ("--dataset", scans, "--sequences", *SEQUENCES)
    assert run(*common, "--predictions", predictions, "--out", out, "--description", text) == 0
    assert "4 scans of sequences 11 21" in capsys.readouterr().out
    with zipfile.ZipFile(out) as file:
        assert file.read("description.txt") == text.read_bytes()
    assert run(*common, "--check", out) == 0
    assert "ready" in capsys.readouterr().out

    out = rewritten(out, first_label(put(0)))
    assert run(*common, "--check", out) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "found id 0" in lines[-2] and lines[-1].startswith(f"error: {out}: found 1 fault")
    for wrong in (("--predictions", predictions), ("--check", out, "--out", out), ("--check", tmp_path / "none.zip")):
        assert run(*common, *wrong) == 1
        assert "Traceback" not in capsys.readouterr().err
