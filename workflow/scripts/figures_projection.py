"""Draw a sequence's first correspondence: depths and scribbles of the visible points over the image."""

from ignet.config.evaluation import FiguresConfig
from ignet.data.formats import kitti
from ignet.data.projection.correspondence import Correspondence
from ignet.data.projection.figure import draw_correspondence
from ignet.data.projection.geometry import project
from ignet.files.atomic import atomic, write_png
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("figures", FiguresConfig, __doc__)
    stage.add_common("dataset", "sequence", "projection", out="PNG to make")
    args, _ = stage.start()

    correspondence = Correspondence(args.projection)
    frame = correspondence.frames[0]
    visible = correspondence.read(frame)
    points = kitti.read_positions(kitti.scan_path(args.dataset, args.sequence, frame))
    image = kitti.read_image(kitti.image_path(args.dataset, args.sequence, frame))
    calibration = kitti.read_calibration(kitti.calibration_path(args.dataset, args.sequence))
    projected = project(points, calibration.p2, calibration.tr, visible.width, visible.height)
    shares = (
        f"{projected.inside.mean():.1%} of {len(points)} points in the image, "
        f"{len(visible.index) / len(points):.1%} visible; z-buffer cells of {correspondence.attributes['cells']} px"
    )
    caption = f"sequence {args.sequence}, frame {frame}: {shares}"
    drawing = draw_correspondence(image, visible.pixel, projected.depth[visible.index], visible.scribble, caption)
    with atomic(args.out) as temporary:
        write_png(temporary, drawing)
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
