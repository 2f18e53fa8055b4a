"""Feature extraction: the frozen 2D network's feature at every visible point of one sequence, in one HDF5 file.

Whole images, no augmentation; bilinear at each point's sub-pixel position.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ignet.config.training_2d import FeatureConfig
from ignet.console import progress
from ignet.data.correspondence import Correspondence
from ignet.data.features import Classifier, FeatureWriter, int8_scale
from ignet.data.kitti import image_path, read_image
from ignet.data.labels import CITYSCAPES_CLASSES
from ignet.data.target import check_size
from ignet.devices import autocast
from ignet.files import file_hash
from ignet.models.segformer import FrozenTeacher, load_segmenter, sample_features
from ignet.stage import Stage, command


@command
def main() -> None:
    stage = Stage("features", FeatureConfig, __doc__)
    stage.add("--network", type=Path, required=True, help="weights of pretrain_2d or adapt_2d")
    stage.add("--dataset", type=Path, required=True, help="folder of the target dataset")
    stage.add("--sequence", required=True, help="the sequence")
    stage.add("--projection", type=Path, required=True, help="its correspondence file")
    stage.add("--out", type=Path, required=True, help="feature store to write (HDF5)")
    args, settings = stage.start()

    teacher = FrozenTeacher(load_segmenter(args.network)).to(args.device)
    correspondence = Correspondence(args.projection)

    def features(frames: list[str], what: str) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.float32]]]:
        for frame in progress(frames, what):
            path, points = image_path(args.dataset, args.sequence, frame), correspondence.read(frame)
            image = read_image(path)
            check_size(image, points, path)
            batch = torch.from_numpy(image).to(args.device).permute(2, 0, 1)[None].float() / 255
            with autocast(args.device):
                found = teacher(batch).features[0]
            pixel = torch.from_numpy(points.pixel).to(args.device)
            yield frame, points.index, sample_features(found.float(), pixel).cpu().numpy()

    scale = None
    if settings.dtype == "int8":
        count = min(settings.calibration_frames, len(correspondence.frames))
        spaced = np.linspace(0, len(correspondence.frames) - 1, count).round().astype(int)
        chosen = [correspondence.frames[i] for i in spaced]
        scale = int8_scale([feature for _, _, feature in features(chosen, "frame for the scales")])

    attributes = {
        "network": file_hash(args.network),
        "settings": settings.canonical(),
        "classes": ",".join(CITYSCAPES_CLASSES),
    }
    classifier = Classifier(*teacher.classifier())
    with FeatureWriter(args.out, teacher.channels, settings.dtype, scale, attributes, classifier) as writer:
        for frame, index, feature in features(correspondence.frames, "frame"):
            writer.add(frame, index, feature)
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
