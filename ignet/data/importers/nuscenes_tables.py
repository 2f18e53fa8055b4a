"""The tables of nuScenes: records by token, with one line for each fault."""

import json
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ignet.errors import IgnetError, reason_of

UNLABELLED = "v1.0-test"
"""The version whose labels are not published."""

Record = dict[str, Any]


class Tables:
    """The tables of one version, by token; of ``sample_data`` and ``ego_pose`` only what keyframes need."""

    def __init__(self, root: Path, version: str, sensors: Collection[str]) -> None:
        """Nothing is read yet.

        Args:
            root: the folder that holds the tables' folder.
            version: name of that folder.
            sensors: names of those whose records are wanted.
        """
        self.root, self.version, self.sensors = root, version, sensors
        self._read: dict[str, dict[str, Record]] = {}

    def __getitem__(self, table: str) -> dict[str, Record]:
        """A table's records by token.

        Raises:
            IgnetError: the table is missing, or none.
        """
        if table not in self._read:
            kept: Callable[[Record], bool] = {"sample_data": _is_key, "ego_pose": self._is_needed}.get(
                table, lambda record: True
            )
            self._read[table] = self._load(table, kept)
        return self._read[table]

    def path(self, table: str) -> Path:
        """File of a table."""
        return self.root / self.version / f"{table}.json"

    def get(self, table: str, token: str, named_by: str) -> Record:
        """The record of a token."""
        if token not in self[table]:
            raise IgnetError(
                f"found no record {token}, which {named_by} names",
                "all records of one version",
                f"unpack the tables of {self.version} again",
                path=self.path(table),
            )
        return self[table][token]

    def value(self, table: str, record: Record, key: str) -> Any:
        """One value of a record."""
        if key not in record:
            raise IgnetError(
                f"record {record.get('token')}: found no '{key}'",
                "a table as nuScenes' schema has it",
                f"unpack the tables of {self.version} again",
                path=self.path(table),
            )
        return record[key]

    def pose(self, table: str, record: Record) -> NDArray[np.float64]:
        """Where a sensor stands in the vehicle, or the vehicle in the world, (4, 4) float64."""
        pose = np.eye(4)
        try:
            w, x, y, z = self.value(table, record, "rotation")
            pose[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
            pose[:3, 3] = self.value(table, record, "translation")
        except (TypeError, ValueError) as error:
            raise IgnetError(
                f"record {record['token']}: no pose ({error})",
                "a rotation of four numbers and a translation of three",
                f"unpack the tables of {self.version} again",
                path=self.path(table),
            ) from None
        return pose

    @cached_property
    def channels(self) -> dict[str, str]:
        """Name of the sensor by the token of its calibration."""
        names = {}
        for name, record in self["calibrated_sensor"].items():
            sensor = self.get("sensor", self.value("calibrated_sensor", record, "sensor_token"), f"calibration {name}")
            names[name] = self.value("sensor", sensor, "channel")
        return names

    @cached_property
    def data(self) -> dict[str, dict[str, Record]]:
        """What each sensor recorded at each sample: record by token of the sample and name of the sensor."""
        found: dict[str, dict[str, Record]] = {}
        for name, record in self["sample_data"].items():
            sample = self.value("sample_data", record, "sample_token")
            calibrated = self.value("sample_data", record, "calibrated_sensor_token")
            self.get("calibrated_sensor", calibrated, f"sample_data {name}")
            found.setdefault(sample, {})[self.channels[calibrated]] = record
        return found

    @cached_property
    def labels(self) -> dict[str, str] | None:
        """File of labels by token of the sweep; None where the version has none."""
        if self.version == UNLABELLED and not self.path("lidarseg").exists():
            return None
        return {
            self.value("lidarseg", record, "sample_data_token"): self.value("lidarseg", record, "filename")
            for record in self["lidarseg"].values()
        }

    @cached_property
    def _needed(self) -> frozenset[str]:
        return frozenset(
            self.value("sample_data", record, "ego_pose_token")
            for sensors in self.data.values()
            for channel, record in sensors.items()
            if channel in self.sensors
        )

    def _is_needed(self, record: Record) -> bool:
        return record.get("token") in self._needed

    def _load(self, table: str, kept: Callable[[Record], bool]) -> dict[str, Record]:
        path = self.path(table)
        remedy = f"unpack the tables of {self.version} here"
        if table == "lidarseg":
            remedy = "unpack nuScenes-lidarseg of this version over the tree"
        try:
            # two tables have millions of records, of which keyframes need a tenth: the others go as they are read
            rows = json.loads(
                path.read_text(encoding="utf-8"), object_hook=lambda record: record if kept(record) else None
            )
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            found = "no such file" if missing else reason_of(error)
            raise IgnetError(found, "a table of nuScenes", remedy, path=path) from None
        except ValueError as error:
            raise IgnetError(f"no JSON ({error})", "a table of nuScenes", remedy, path=path) from None
        records = [row for row in rows if row is not None] if isinstance(rows, list) else [rows]
        if not all(isinstance(record, dict) and "token" in record for record in records):
            raise IgnetError("found something else than records with tokens", "a table of nuScenes", remedy, path=path)
        return {record["token"]: record for record in records}


def _is_key(record: Record) -> bool:
    return bool(record.get("is_key_frame"))
