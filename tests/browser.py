"""A headless Chromium, driven through Chrome's DevTools protocol: just enough to open a page, look at it, and use mouse
and keys."""

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


def find_chromium() -> str:
    """Path of a Chromium; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("no Chromium; Debian, Ubuntu: apt install chromium")
    return found


class Browser:
    """A page of a new browser. ``messages`` are its console's errors and the exceptions of its scripts; ``requests``
    all addresses."""

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        self.size = (width, height)

    def __enter__(self) -> Self:
        websocket = pytest.importorskip("websocket", reason="no websocket-client: make setup")
        path = find_chromium()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._log = Path(self._profile.name, "log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [path, *OPTIONS, f"--user-data-dir={self._profile.name}", "about:blank"], stdout=log, stderr=log
            )
        self._socket = websocket.create_connection(self._address(), timeout=600, suppress_origin=True)
        self._number = 0
        self.messages: list[str] = []
        self.requests: list[str] = []
        target = self._call("Target.createTarget", {"url": "about:blank"}, session=None)["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True}, session=None)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self.resize(*self.size)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(30)
        self._profile.cleanup()

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window in CSS pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )

    def theme(self, name: str) -> None:
        """Let the system prefer light or dark."""
        self._call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    def open(self, address: str, ready: str = "true") -> None:
        """Open a page and wait until the expression ``ready``, or its promise, is done."""
        self._loaded = False
        self._call("Page.navigate", {"url": address})
        while not self._loaded:
            self._read()
        self.js(ready)

    def js(self, expression: str) -> Any:
        """Value of an expression in the page; promises are waited for."""
        answer = self._call("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key, by its name, such as ``ArrowLeft`` or ``+``."""
        codes = {
            "Tab": 9,
            "Enter": 13,
            " ": 32,
            "Home": 36,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
        }
        values: dict[str, Any] = {
            "key": key,
            "windowsVirtualKeyCode": codes.get(key, ord(key[0])),
            "modifiers": 8 if shift else 0,
        }
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else None)
        self._call("Input.dispatchKeyEvent", {"type": "keyDown", **values, **({"text": text} if text else {})})
        self._call("Input.dispatchKeyEvent", {"type": "keyUp", **values})

    def point(self, x: float, y: float, kind: str = "mouseMoved", **options: Any) -> None:
        """Move the mouse to a place in the window, or press or release a button there."""
        self._call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **options})

    def picture(self, path: Path | None = None, *, whole: bool = False) -> bytes:
        """The window, or the whole page, as PNG."""
        answer = self._call(
            "Page.captureScreenshot",
            {"format": "png", "captureBeyondViewport": whole, **(self._all() if whole else {})},
        )
        image = base64.b64decode(answer["data"])
        if path:
            path.write_bytes(image)
        return image

    def print(self) -> bytes:
        """The page as PDF."""
        return base64.b64decode(self._call("Page.printToPDF", {"printBackground": True})["data"])

    def wait(self, expression: str, seconds: float = 60.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.js(expression):
            assert time.monotonic() < end, f"never true: {expression}; console: {self.messages}"
            time.sleep(0.05)

    def _all(self) -> dict[str, Any]:
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _address(self) -> str:
        end = time.monotonic() + 60
        while not (found := re.search(r"DevTools listening on (\S+)", self._log.read_text())):
            assert self._process.poll() is None and time.monotonic() < end, (
                f"Chromium did not start: {self._log.read_text()[-500:]}"
            )
            time.sleep(0.05)
        return found[1]

    def _call(self, method: str, params: dict[str, Any] | None = None, session: str | None = "") -> Any:
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session == "":
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv())
        params = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                self.messages.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                self.messages.append(
                    " ".join(str(part.get("value", part.get("description"))) for part in params["args"])
                )
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.messages.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
        return message
