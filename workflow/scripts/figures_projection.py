"""Draw a sequence's first correspondence: depths and scribbles of the visible points over the image."""

from ignet.config.evaluation import FiguresConfig
from ignet.data.formats import kitti
from ignet.data.formats.calibration import frame_calibration
from ignet.data.projection.correspondence import Correspondence
from ignet.data.projection.figure import draw_correspondence, in_columns
from ignet.data.projection.views import look
from ignet.errors import IgnetError
from ignet.files.atomic import atomic, write_png
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("figures", FiguresConfig, __doc__)
    stage.add_common("dataset", "sequence", "projection", out="PNG to make")
    args, _ = stage.start()

    correspondence = Correspondence(args.projection)
    frame = next((name for name in correspondence.frames if correspondence.views(name)), None)
    if frame is None:
        raise IgnetError(f"{args.projection}: found no image of any frame, expected one at least; restore them")
    visible = correspondence.read(frame)
    points = kitti.read_positions(kitti.scan_path(args.dataset, args.sequence, frame))
    cells = dict(zip(correspondence.cameras, correspondence.attributes["cells"].split(), strict=True))
    drawings = []
    for camera, view in visible.views.items():
        image = kitti.read_image(kitti.image_path(args.dataset, args.sequence, frame, camera))
        calibration = frame_calibration(args.dataset, args.sequence, frame, camera)
        projected, rows = look(points, calibration, view.width, view.height).projected, visible.rows(camera)
        shares = (
            f"{projected.inside.mean():.1%} of {len(points)} points in the image, "
            f"{len(rows) / len(points):.1%} visible; z-buffer cells of {cells[camera]} px"
        )
        which = f", camera {camera}" if len(cells) > 1 else ""
        caption = f"sequence {args.sequence}, frame {frame}{which}: {shares}"
        depth = projected.depth[visible.index[rows]]
        drawings.append(draw_correspondence(image, visible.pixel[rows], depth, visible.scribble[rows], caption))
    with atomic(args.out) as temporary:
        write_png(temporary, in_columns(drawings))
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
