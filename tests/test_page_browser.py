"""The report in a real browser: headless Chromium opens it from disk; skipped where there is none."""

import base64
import io

import numpy as np
import pytest
from browser import Browser, find_chromium
from page_results import POINTS, RUNS, TRAIN, VAL, make_page, make_results, predicted_by, truth_of
from PIL import Image

from ignet.data.formats import kitti
from ignet.data.projection.correspondence import Correspondence

SECTIONS = (
    *("headline", "ablation", "gains", "classes", "confusion", "curves", "images", "above", "viewer"),
    *("published", "data", "costs", "settings"),
)
READY = "ignet.ready.then(() => true)"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    find_chromium()
    return make_results(tmp_path_factory.mktemp("page"), [{"run": "baseline", "against": "ignet", "text": "no images"}])


@pytest.fixture(scope="module")
def address(results):
    # names with blanks and marks are common in folders
    folder = results.parent / "a folder, with blanks"
    folder.mkdir()
    return make_page(results, folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture
def page(browser, address):
    """The page, newly opened, in the light, 1280 pixels wide. Afterwards: no error, and nothing was asked of a
    network."""
    browser.resize(1280, 900)
    browser.theme("light")
    browser.messages.clear()
    browser.requests.clear()
    browser.open(address, READY)
    yield browser
    assert browser.messages == [] and browser.js("ignet.faults") == []
    assert {request.split(":")[0] for request in browser.requests} <= {"file", "data", "blob"}


def colors(png, box=None):
    """How often each colour occurs in a picture or in a part of it."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    found, counts = np.unique(np.asarray(image.crop(box) if box else image).reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(color.tolist()): int(count) for color, count in zip(found, counts, strict=True)}


def shown(page, selector):
    """Picture of an element, scrolled into the window."""
    page.js(f"document.querySelector('{selector}').scrollIntoView({{block: 'center'}})")
    page.wait("ignet.viewer.cloud.asked !== true")
    box = f"document.querySelector('{selector}').getBoundingClientRect()"
    left, top, width, height = page.js(f"((r) => [r.left, r.top, r.width, r.height])({box})")
    return colors(page.picture(), (left + 2, top + 2, left + width - 2, min(top + height, 900) - 2)), (
        left,
        top,
        width,
        height,
    )


def choose(page, name, value):
    page.js(
        f"(() => {{ const s = document.getElementById('{name}'); s.value = '{value}'; s.dispatchEvent(new "
        "Event('change')); })()"
    )


def test_every_section_is_there_and_every_chart_is_drawn(page):
    assert page.js("[...document.querySelectorAll('details.section')].map((each) => each.id)") == list(SECTIONS)
    assert page.js(
        "[...document.querySelectorAll('details.section')].every((each) => each.open && each.clientHeight > 50)"
    )
    page.js("ignet.drawAll().then(() => true)")
    charts = page.js(
        "[...document.querySelectorAll('.chart')].map((each) => [each.dataset.chart, "
        "each.querySelectorAll('svg.main-svg').length])"
    )
    assert len(charts) == 8 and all(count for _, count in charts), charts


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_widths_and_themes(browser, address, width, theme):
    browser.messages.clear()
    browser.resize(width, 900)
    browser.theme(theme)
    browser.open(address, READY)
    browser.js("ignet.drawAll().then(() => true)")
    # nothing sticks out to the right
    assert browser.js("document.documentElement.scrollWidth") <= width
    back = max(colors(browser.picture()).items(), key=lambda pair: pair[1])[0]
    assert (min(back) > 200) if theme == "light" else (max(back) < 60)
    # text can be told from what is behind it: at least 4.5 to 1, as WCAG asks
    for name in ("--text", "--soft", "--accent"):
        assert contrast(browser, name, "--card") > 4.5, name
    assert browser.js(
        "[...document.querySelectorAll('.gtitle, .xtitle')].every((each) => each.getBoundingClientRect().right <= "
        "innerWidth)"
    )
    assert browser.messages == []


def contrast(browser, *names):
    def luminance(text):
        parts = [int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(luminance(browser.js(f"ignet.css('{name}')")) for name in names)
    return (high + 0.05) / (low + 0.05)


def test_the_theme_can_be_chosen(page):
    page.js("document.getElementById('theme').click()")
    assert page.js("document.documentElement.dataset.theme") == "dark"
    page.js("document.getElementById('theme').click()")
    assert page.js("document.documentElement.dataset.theme") == "light"
    page.js("localStorage.clear()")


def test_scans_come_out_as_they_went_in(page, results):
    for number, (sequence, frame) in enumerate([(VAL, "000000"), (VAL, "000001"), (TRAIN, "000001")]):
        points = kitti.read_scan(kitti.scan_path(results.parent / "dataset", sequence, frame))
        get = f"ignet.frame({number}).then((f) => "
        xyz = np.reshape(page.js(f"{get}[...f.xyz])"), (-1, 3))
        assert np.abs(xyz - points[:, :3]).max() < 0.002
        assert page.js(f"{get}[...f.layers.truth])") == truth_of(results, sequence, frame).tolist()
        found = Correspondence(results / f"projection/{sequence}.h5").read(frame)
        assert page.js(f"{get}[...f.seen.index])") == found.index.tolist()
        pixel = np.stack([page.js(f"{get}[...f.seen.u])"), page.js(f"{get}[...f.seen.v])")], axis=1)
        assert np.abs(pixel - found.pixel).max() <= 1 / 32 + 1e-5
    assert (
        page.js("ignet.frame(0).then((f) => [...f.layers['run:ignet']])")
        == predicted_by(results, "ignet", "000000").tolist()
    )


@pytest.mark.parametrize("renderer", ["webgl", "raster"])
def test_the_viewer_draws_and_its_legend_hides_classes(browser, address, renderer):
    browser.resize(1280, 900)
    browser.messages.clear()
    browser.open(f"{address}?renderer={renderer}", READY)
    kind = "WebglPoints" if renderer == "webgl" else "RasterPoints"
    assert browser.js(f"ignet.viewer.cloud.points instanceof ignet.{kind}")
    browser.js("ignet.viewer.cloud.size = 10; ignet.viewer.cloud.camera.zoom(0.6); ignet.viewer.cloud.drawNow()")
    before, _ = shown(browser, "#viewer-canvas")
    road = tuple(browser.js("ignet.classes.lidar[8].color"))
    assert before[road] > 200 and len(before) >= 5
    browser.js("document.querySelector('#viewer-legend [data-group=\"8\"]').click()")
    after, _ = shown(browser, "#viewer-canvas")
    assert road not in after and len(after) >= 4
    assert (
        browser.js("document.querySelector('#viewer-legend [data-group=\"8\"]').getAttribute('aria-pressed')")
        == "false"
    )
    browser.js("document.querySelector('#viewer-legend [data-group=\"8\"]').click()")
    again, _ = shown(browser, "#viewer-canvas")
    assert again == before
    assert browser.messages == []


def test_both_ways_to_draw_show_the_same(browser, address):
    pictures = {}
    for renderer in ("webgl", "raster"):
        browser.resize(1280, 900)
        browser.open(f"{address}?renderer={renderer}", READY)
        browser.js("ignet.viewer.cloud.size = 10; ignet.viewer.cloud.camera.top(); ignet.viewer.cloud.drawNow()")
        found, (left, top, *_) = shown(browser, "#viewer-canvas")
        pictures[renderer] = found
        # a point's colour stands where the point is projected to
        place = browser.js(
            "((c, p) => [p.left + c.canvas.clientLeft, p.top + c.canvas.clientTop])"
            "(ignet.viewer.cloud, ignet.viewer.cloud.project(ignet.viewer.cloud.pick(400, 300, 300)))"
        )
        image = Image.open(io.BytesIO(browser.picture())).convert("RGB")
        pixel = image.getpixel((int(left + place[0]), int(top + place[1])))
        palette = [tuple(each["color"]) for each in browser.js("ignet.classes.lidar")]
        assert pixel in palette, (renderer, pixel)
    common = set(pictures["webgl"]) & {tuple(color) for color in palette}
    assert common == set(pictures["raster"]) & {tuple(color) for color in palette} and len(common) >= 3


def test_every_way_to_colour(page, results):
    modes = page.js("[...document.getElementById('viewer-mode').options].map((each) => each.value)")
    assert modes == ["run", "truth", "error", "scribble", "distance", "height", "fov", "features"]
    for mode in modes:
        choose(page, "viewer-mode", mode)
        assert page.js("ignet.viewer.painted.colors.length") == 4 * POINTS
    choose(page, "viewer-mode", "error")
    truth = truth_of(results, VAL, "000000")
    for run in RUNS:
        choose(page, "viewer-run", run)
        wrong = page.js("ignet.viewer.painted.groups.reduce((sum, group) => sum + (group === 1), 0)")
        assert wrong == ((predicted_by(results, run, "000000") != truth) & (truth != 255)).sum()
    choose(page, "viewer-mode", "fov")
    seen = page.js("ignet.viewer.painted.groups.reduce((sum, group) => sum + (group === 0), 0)")
    assert seen == len(Correspondence(results / f"projection/{VAL}.h5").read("000000").index)


def test_another_scan(page):
    choose(page, "viewer-mode", "distance")
    choose(page, "viewer-scan", 2)
    page.wait("ignet.viewer.frame.role === 'train'")
    # a training scan has no predictions; the way of colouring stays where it can
    assert page.js("document.getElementById('viewer-run').disabled")
    assert page.js("[...document.getElementById('viewer-mode').options].map((each) => each.value)")[0] == "truth"
    assert page.js("document.getElementById('viewer-mode').value") == "distance"
    choose(page, "viewer-scan", 1)
    page.wait("ignet.viewer.frame.role === 'val'")
    assert not page.js("document.getElementById('viewer-run').disabled")


def test_the_point_under_the_pointer_is_named_and_marked_in_the_image(page, results):
    truth = truth_of(results, VAL, "000000")
    found = Correspondence(results / f"projection/{VAL}.h5").read("000000")
    page.js("document.getElementById('viewer-canvas').scrollIntoView({block: 'center'})")
    page.js("ignet.viewer.cloud.camera.top(); ignet.viewer.cloud.drawNow()")
    # a visible point that lies above its neighbours, within the canvas
    place = page.js(f"""(() => {{
      const cloud = ignet.viewer.cloud, box = cloud.canvas.getBoundingClientRect();
      for (const i of {found.index.tolist()}) {{
        const p = cloud.project(i);
        if (p.left > 9 && p.top > 9 && p.left < box.width - 9 && p.top < box.height - 9
            && cloud.pick(p.left, p.top) === i)
          return [i, box.left + cloud.canvas.clientLeft + p.left, box.top + cloud.canvas.clientTop + p.top];
      }}
    }})()""")
    number, x, y = place
    clean = page.js("document.getElementById('viewer-image').toDataURL()")
    page.point(x, y)
    page.wait(f"ignet.viewer.hovered === {number}")
    text = page.js("document.getElementById('viewer-point').textContent")
    name = "no label" if truth[number] == 255 else page.js(f"ignet.classes.lidar[{truth[number]}].name")
    assert text.startswith(f"point {number}: {name}, ignet says ") and "in the camera's view" in text
    assert not page.js("document.getElementById('viewer-mark').hidden")
    marked = page.js("document.getElementById('viewer-image').toDataURL()")
    images = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(each.split(",")[1]))).convert("RGB")).astype(int)
        for each in (clean, marked)
    ]
    rows, columns = np.nonzero(np.abs(images[0] - images[1]).sum(axis=2))
    u, v = found.pixel[found.index.tolist().index(number)]
    assert abs(columns.mean() - u) < 2 and abs(rows.mean() - v) < 2
    # and from the image to the scan
    page.js("document.getElementById('viewer-image').scrollIntoView({block: 'center'})")
    left, top, width = page.js(
        "((r) => [r.left, r.top, r.width])(document.getElementById('viewer-image').getBoundingClientRect())"
    )
    scale = width / found.views[2].width
    page.point(left + 1 + float(u) * scale, top + 1 + float(v) * scale)
    page.wait("ignet.viewer.hovered >= 0")
    near = page.js("ignet.viewer.hovered")
    assert np.hypot(*(found.pixel[found.index.tolist().index(near)] - (u, v))) < 2
    page.point(5, 5)
    page.wait("document.getElementById('viewer-mark').hidden")


def test_a_scan_of_two_cameras_is_shown_as_either_saw_it(page, results):
    found = Correspondence(results / f"projection/{VAL}.h5").read("000000")
    # every second visible point in the image of a second camera
    second = """ignet.frame(0).then((f) => {
      const camera = f.seen.camera.map((_, k) => (k % 2 ? 7 : 2));
      return {...f, views: [f.views[0], {...f.views[0], camera: 7}], seen: {...f.seen, camera}};
    })"""
    for number in (0, 1):
        get = f"{second}.then((f) => ignet.ofCamera(f, {number})).then((f) => "
        assert page.js(f"{get}[...f.seen.index])") == found.index[number::2].tolist()
        assert page.js(f"{get}f.features.points.length / 3)") == page.js(f"{get}f.seen.count)")
        assert page.js(f"{get}f.camera)") == (2, 7)[number]
    # with one camera there is nothing to choose
    label = "document.getElementById('viewer-camera').closest('label').hidden"
    assert page.js(label)
    page.js(f"{second}.then((f) => {{ ignet.viewer.frame = f; ignet.viewer.lookThrough(); }})")
    page.wait(f"!{label}")
    assert page.js("[...document.getElementById('viewer-camera').options].map((each) => each.value)") == ["2", "7"]
    page.js(f"ignet.viewer.hover({found.index[1]})")  # the camera that sees the point is shown
    assert page.js("document.getElementById('viewer-camera').value") == "7"
    assert page.js("ignet.viewer.view.camera") == 7
    choose(page, "viewer-camera", 2)
    assert page.js("ignet.viewer.view.camera") == 2
    page.js("ignet.viewer.open()")
    page.wait(label)


def test_mouse_and_keys_move_the_camera(page):
    page.js("document.getElementById('viewer-canvas').scrollIntoView({block: 'center'})")
    left, top = page.js("((r) => [r.left, r.top])(document.getElementById('viewer-canvas').getBoundingClientRect())")
    get = "((c) => [c.yaw, c.pitch, c.distance, ...c.target])(ignet.viewer.cloud.camera)"
    start = page.js(get)

    # the wheel belongs to the page until the scan has the focus
    wheel = {"deltaX": 0, "deltaY": -120}
    page.point(left + 200, top + 200, "mouseWheel", **wheel)
    assert page.js(get) == start
    page.js("document.getElementById('viewer-canvas').focus()")
    page.js("document.getElementById('viewer-canvas').scrollIntoView({block: 'center'})")
    left, top = page.js("((r) => [r.left, r.top])(document.getElementById('viewer-canvas').getBoundingClientRect())")
    page.point(left + 200, top + 200, "mouseWheel", **wheel)
    page.wait(f"{get}[2] < {start[2]}")

    for button, shift in (("left", False), ("right", False), ("left", True)):
        before = page.js(get)
        pressed = {"button": button, "clickCount": 1, "modifiers": 8 if shift else 0}
        page.point(left + 200, top + 200, "mousePressed", **pressed)
        page.point(left + 260, top + 230, "mouseMoved", **pressed, buttons=1 if button == "left" else 2)
        page.point(left + 260, top + 230, "mouseReleased", **pressed)
        after = page.js(get)
        turned, moved = after[:2] != before[:2], after[3:] != before[3:]
        assert (turned, moved) == ((True, False) if (button, shift) == ("left", False) else (False, True)), (
            button,
            shift,
        )

    for key, shift, changed in (
        ("ArrowLeft", False, 0),
        ("ArrowUp", False, 1),
        ("+", False, 2),
        ("-", False, 2),
        ("ArrowRight", True, 4),
    ):
        before = page.js(get)
        page.press(key, shift=shift)
        assert page.js(get)[changed] != before[changed], key
    page.press("Home")
    assert page.js(get) == start


def test_tab_reaches_everything_and_enter_acts(page):
    page.js("document.getElementById('fold').focus()")
    page.press("Enter")
    assert not page.js("document.querySelector('details.section[open]')")
    page.press("Enter")
    reached = set()
    for _ in range(250):
        page.press("Tab")
        here = page.js(
            "((e) => e.id || e.dataset.group || e.closest('section, figure, details')?.id || "
            "e.tagName)(document.activeElement)"
        )
        reached.add(here)
    assert {
        "theme",
        "viewer-canvas",
        "viewer-scan",
        "viewer-run",
        "viewer-mode",
        "viewer-ply",
        "images-scan",
    } <= reached
    page.js("document.querySelector('#headline summary').focus()")
    page.press("Enter")
    assert not page.js("document.getElementById('headline').open")
    page.js("document.querySelector('#viewer-legend button').focus()")
    page.press("Enter")
    assert page.js("document.activeElement.getAttribute('aria-pressed')") == "false"


def test_tables_sort_by_number_and_by_name(page):
    column = "[...document.querySelectorAll('#table-headline-0 tbody tr')].map((row) => row.cells[{}].textContent)"
    page.js("document.querySelectorAll('#table-headline-0 th button')[3].focus()")
    page.press("Enter")
    values = list(map(float, page.js(column.format(3))))
    assert values == sorted(values, reverse=True) and len(values) == 3
    page.press("Enter")
    assert list(map(float, page.js(column.format(3)))) == values[::-1]
    page.js("document.querySelectorAll('#table-headline-0 th button')[0].click()")
    assert page.js(column.format(0)) == ["baseline", "full", "ignet"]
    # rows without a figure stay last, whichever way
    for _ in range(2):
        page.js("document.querySelectorAll('#table-headline-0 th button')[6].click()")
        assert page.js(column.format(6))[-1] == ""


def test_chips_hide_a_training_and_the_choice_changes_the_matrix(page):
    page.js("ignet.drawAll().then(() => true)")
    lines = (
        'document.querySelectorAll(\'#curves .chart[data-chart="curves/3D networks: loss"] .scatterlayer '
        ".trace').length"
    )
    assert page.js(lines) == len(RUNS)
    page.js("document.querySelector('#curves button[data-run=\"ignet\"]').click()")
    page.wait(f"{lines} === {len(RUNS) - 1}")
    matrix = "document.querySelector('#confusion-chart').dataset.drawn"
    assert page.js(matrix) == "confusion/ignet"
    before = page.js("JSON.stringify(document.querySelector('#confusion-chart').data[0].z)")
    page.js("document.querySelector('#confusion select').id = 'confusion-choice'")
    choose(page, "confusion-choice", "confusion/full")
    page.wait(f"{matrix} === 'confusion/full'")
    assert page.js("JSON.stringify(document.querySelector('#confusion-chart').data[0].z)") != before


def test_pictures_of_scans(page):
    captions = "[...document.querySelectorAll('#{} figcaption')].map((each) => each.textContent)"
    above = page.js(captions.format("above-panels"))
    assert above[:2] == ["ground truth", "scribbles"] and [text.split(":")[0] for text in above[2:]] == [*RUNS, *RUNS]
    images = page.js(captions.format("images-panels"))
    assert (
        images[0] == "camera image"
        and images[2].startswith("projected scribbles")
        and images[-1] == "features, at the points"
    )
    assert [text.split(":")[0] for text in images[3:5]] == ["source", "adapted"]
    # none of the pictures is empty
    many = """[...document.querySelectorAll('.panels canvas')].map((canvas) => {
      const words = new Uint32Array(
        canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
      return new Set(words).size;
    })"""
    assert min(page.js(many)) >= 4
    choose(page, "above-scan", 2)
    page.wait("document.querySelector('#above-panels p') !== null")
    assert page.js(captions.format("above-panels")) == ["ground truth", "scribbles"]


def test_export_as_ply(page, results):
    choose(page, "viewer-mode", "truth")
    page.js("document.querySelector('#viewer-legend [data-group=\"8\"]').click()")
    read = (
        "ignet.plyBytes(ignet.viewer).arrayBuffer().then((buffer) => btoa(String.fromCharCode(...new "
        "Uint8Array(buffer))))"
    )
    header, body = base64.b64decode(page.js(read)).split(b"end_header\n", 1)
    truth = truth_of(results, VAL, "000000")
    kept = truth != 8
    assert f"element vertex {kept.sum()}" in header.decode() and header.startswith(
        b"ply\nformat binary_little_endian 1.0\n"
    )
    fields = [("place", "<f4", 3), ("color", "u1", 3), ("truth", "u1"), ("predicted", "u1")]
    vertices = np.frombuffer(body, fields)
    points = kitti.read_scan(kitti.scan_path(results.parent / "dataset", VAL, "000000"))[kept]
    assert np.abs(vertices["place"] - points[:, :3]).max() < 0.002
    assert (vertices["truth"] == truth[kept]).all() and (
        vertices["predicted"] == predicted_by(results, "ignet", "000000")[kept]
    ).all()


def test_it_prints_with_everything_unfolded(page):
    page.js("document.getElementById('fold').click()")
    paper = page.print()
    assert paper.startswith(b"%PDF") and len(paper) > 50_000
    assert page.js("[...document.querySelectorAll('details.section')].every((each) => each.open)")


def test_a_fault_is_told_on_the_page(browser, address):
    browser.open(address, READY)
    browser.js("ignet.fault('viewer', 'no such thing')")
    assert "no such thing" in browser.js("document.getElementById('faults').textContent")
    assert not browser.js("document.getElementById('faults').hidden")
