"""Which scans are labelled: the published lists, and draws like them."""

import hashlib

import numpy as np
import pytest

from ignet.config.experiment import NESTED
from ignet.data.formats import splits
from ignet.data.formats.splits import SEQUENCES, as_text, benchmark_scans, labelled_scans, pools, published_scans
from ignet.errors import IgnetError

PERCENT = (1, 10, 20, 50)
# of the files as they are published: one sequence/frame a line
PUBLISHED = {
    1: (191, "23aa3791c741ce6ea7f9dc3745fe1b7a1ec3d2bfd34b97cd23c3732178afa9e7"),
    10: (1913, "61a27d5b6743dc74c2ff714ead7c00a63e9270b7388f86b669ef731961f50df1"),
    20: (3826, "0e17af58bb46907688359752a6ab73500c30a009eedd105b8dc4809da9a84575"),
    50: (9565, "ec09b512cea9f10b0bf3506f0a56956ef4cb1c381e30fdf64f30a3597e00b950"),
}
BENCHMARK = {sequence: [f"{number:06d}" for number in range(count)] for sequence, count in SEQUENCES.items()}
SMALL = {"03": [f"{n:06d}" for n in range(60)], "00": [f"{n:06d}" for n in range(40)]}


@pytest.mark.parametrize("percent", PERCENT)
def test_lists_are_the_published_ones(percent: int) -> None:
    scans = published_scans(percent)
    assert (len(scans), hashlib.sha256(as_text(scans).encode()).hexdigest()) == PUBLISHED[percent]
    assert list(scans) == sorted(set(scans)) and set(scans) <= set(benchmark_scans())


def test_the_first_lines_of_the_published_lists() -> None:
    assert as_text(published_scans(1)[:3]) == "00/000011\n00/000041\n00/000188\n"
    assert as_text(published_scans(50)[:2]) == "00/000000\n00/000002\n"


def test_nested_lists() -> None:
    """What the check of the configuration takes for granted."""
    lists = {percent: set(published_scans(percent)) for percent in PERCENT}
    assert {(a, b) for a in PERCENT for b in PERCENT if a != b and lists[a] <= lists[b]} == NESTED
    drawn = {percent: set(labelled_scans(SMALL, percent).scans) for percent in PERCENT}
    assert all(drawn[a] <= drawn[b] for a, b in NESTED)


@pytest.mark.parametrize("percent", PERCENT)
def test_the_benchmarks_scans_get_the_published_list(percent: int) -> None:
    assert len(benchmark_scans()) == 19130
    split = labelled_scans(dict(reversed(BENCHMARK.items())), percent)
    assert split.scans == published_scans(percent)
    assert "published list of" in str(split)


@pytest.mark.parametrize("lacking", [("04", slice(270)), ("04", slice(0))])
def test_a_part_of_the_benchmark_gets_a_draw(lacking: tuple[str, slice]) -> None:
    sequence, kept = lacking
    frames = {**BENCHMARK, sequence: BENCHMARK[sequence][kept]}
    split = labelled_scans(frames, 10)
    assert split.total == sum(map(len, frames.values())) < 19130
    assert len(split.scans) == split.total // 10
    assert all(frame in frames[name] for name, frame in split.scans)
    assert f"{len(split.scans)} of {split.total} scans" in str(split) and "drawn uniformly" in str(split)


@pytest.mark.parametrize(("percent", "count"), [(1, 1), (10, 10), (20, 20), (50, 50)])
def test_a_draw_is_uniform_over_all_sequences_and_depends_on_the_names_alone(percent: int, count: int) -> None:
    split = labelled_scans(SMALL, percent)
    assert len(set(split.scans)) == count and list(split.scans) == sorted(split.scans)
    shuffled = {sequence: frames[::-1] for sequence, frames in reversed(SMALL.items())}
    assert labelled_scans(shuffled, percent) == split
    if percent == 50:
        # 4 standard deviations of the hypergeometric distribution
        assert abs(sum(sequence == "03" for sequence, _ in split.scans) - 30) < 10
        assert split.scans[::2] != split.scans[1::2] and len({int(frame) % 2 for _, frame in split.scans}) == 2


def test_a_draw_is_the_first_of_a_shuffle_by_the_seed_0() -> None:
    names = [(sequence, f"{n:06d}") for sequence, count in (("00", 40), ("03", 60)) for n in range(count)]
    drawn = np.random.default_rng(0).permutation(100)[:10]
    assert labelled_scans(SMALL, 10).scans == tuple(names[number] for number in sorted(drawn))


def test_few_scans_have_one_labelled_one() -> None:
    assert len(labelled_scans({"00": ["000000", "000001"]}, 1).scans) == 1
    with pytest.raises(IgnetError, match="found no scan in sequences 00"):
        labelled_scans({"00": []}, 1)


def test_without_a_percentage_there_is_no_split() -> None:
    assert labelled_scans(SMALL, None) is None


def test_only_the_labelled_frames() -> None:
    split = labelled_scans(SMALL, 10)
    frames = split.only(SMALL)
    assert list(frames) == list(SMALL)
    assert sorted((sequence, frame) for sequence, names in frames.items() for frame in names) == list(split.scans)


def test_pools() -> None:
    scans = [("00", "000000"), ("00", "000001"), ("01", "000000")]
    assert [pool.tolist() for pool in pools(scans, {scans[1]})] == [[1], [0, 2]]
    assert [pool.tolist() for pool in pools(scans, set(scans))] == [[0, 1, 2]]
    assert [pool.tolist() for pool in pools(scans, set())] == [[0, 1, 2]]


@pytest.mark.parametrize("fault", ["missing", "cut", "other", "no zip"])
def test_a_spoilt_file_of_lists_is_refused(fault: str, tmp_path, monkeypatch) -> None:
    path = tmp_path / "lists.npz"
    content = splits.LISTS.read_bytes()
    if fault == "other":
        with np.load(splits.LISTS, allow_pickle=False) as file:
            arrays = dict(file)
        arrays["percent_10"][0] ^= 1
        np.savez_compressed(path, **arrays)
    elif fault != "missing":
        path.write_bytes(content[:3000] if fault == "cut" else b"lists")
    monkeypatch.setattr(splits, "LISTS", path)
    published_scans.cache_clear()
    with pytest.raises(IgnetError, match=r"lists\.npz.*install ignet again"):
        published_scans(10)
    published_scans.cache_clear()
