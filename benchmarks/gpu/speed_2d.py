"""Images a second of the 2D network in each number format and batch, and the memory that it takes.

A training step is a forward and a backward pass on a crop; features are a forward pass over a whole image.
"""

import itertools

import torch
from cases import PRECISIONS, autocast_of, peak_mb, read_case, seconds, tf32

from ignet.devices import autocast
from ignet.models.teachers.segformer import build_segmenter


def main() -> None:
    """Measure each case."""
    case = read_case(__doc__)
    experiment, device = case.stages("speed_2d").experiment, case.device
    settings, world = experiment.pretrain_2d, experiment.world
    torch.manual_seed(0)
    network = build_segmenter(settings.network).to(device)
    for precision, batch in itertools.product(PRECISIONS[::-1], (1, 2 if case.tiny else 4)):
        crops = torch.rand(batch, 3, *settings.crop, device=device)
        images = torch.rand(batch, 3, world.image_height, world.image_width, device=device)

        def step(crops: torch.Tensor = crops, precision: str = precision) -> None:
            network.train()
            network.zero_grad()
            with autocast(device, autocast_of(precision)):
                logits = network(crops).logits
            logits.float().square().mean().backward()

        def extract(images: torch.Tensor = images, precision: str = precision) -> None:
            network.eval()
            with torch.no_grad(), autocast(device, autocast_of(precision)):
                network(images)

        with tf32(precision == "tf32"):
            memory = peak_mb(device, step), peak_mb(device, extract)
            times = seconds(step, device, case.repeats), seconds(extract, device, case.repeats)
        row = {"precision": precision, "batch": batch, "step_mb": memory[0], "extract_mb": memory[1]}
        rates = {"trained_crops_per_s": batch / times[0], "extracted_images_per_s": batch / times[1]}
        case.write("speed_2d", **row, step_s=times[0], extract_s=times[1], **rates)


if __name__ == "__main__":
    main()
