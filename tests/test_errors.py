"""Errors as data: their fields, and the line that is made from them."""

import pickle
from pathlib import Path

from ignet.data.check.faults import as_fault
from ignet.errors import IgnetError


def test_the_line_holds_the_fields_that_are_given_and_survives_another_process():
    for error, line in (
        (
            IgnetError("found 3 bytes", "4", "copy it again", path="a.bin"),
            "a.bin: found 3 bytes, expected 4; copy it again",
        ),
        (IgnetError("found 3 bytes", remedy="copy it again"), "found 3 bytes; copy it again"),
        (IgnetError("all in one line"), "all in one line"),
        (IgnetError("found 3 bytes", "4").at(Path("b.bin")), "b.bin: found 3 bytes, expected 4"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert str(error) == str(again) == line
        assert (again.path, again.found, again.expected, again.remedy) == (
            error.path,
            error.found,
            error.expected,
            error.remedy,
        )


def test_a_fault_takes_the_fields_and_names_another_file_than_its_own():
    error = IgnetError("found x, expected by nobody", "y; or z", "do w", path="a")
    fault = as_fault(error, "kind", Path("a"))
    assert (fault.found, fault.expected, fault.remedy) == ("found x, expected by nobody", "y; or z", "do w")
    assert as_fault(error, "kind", Path("b")).found == "a: found x, expected by nobody"
