"""Drive a headless Chromium: read a page's content, console messages and network requests.

The client uses the DevTools protocol over two pipes, file descriptors 3 and 4 of the browser
(`--remote-debugging-pipe`): JSON messages, each followed by a zero byte. It opens no port and needs
no library.
"""

import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMANDS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--remote-debugging-pipe",
)  # fmt: skip
TIMEOUT = 60.0
"""Seconds to wait for a message of the browser."""


def find_chromium() -> str | None:
    """Return the path of the browser's command; None if no browser is installed."""
    return next((found for name in COMMANDS if (found := shutil.which(name))), None)


class Chromium:
    """One tab of the browser.

    Args:
        to_browser: File descriptor that the browser reads.
        from_browser: File descriptor that the browser writes.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = to_browser, from_browser
        self._buffer = b""
        self._ids = itertools.count(1)
        self._session: str | None = None
        self.requests: dict[str, str] = {}
        """URLs that the page requested and the browser did not block, by request id."""
        self.console_errors: list[str] = []
        """Errors and warnings on the console, and uncaught exceptions of scripts."""
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command of the protocol and return its result."""
        message_id = next(self._ids)
        message = {"id": message_id, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == message_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, page: Path, width: int = 1200, height: int = 900) -> None:
        """Load a page in a window of the given size, in CSS pixels, and wait for the load event."""
        self.requests, self.console_errors, self._loaded = {}, [], False
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not self._loaded:
            self._receive()

    def run(self, script: str) -> Any:  # noqa: ANN401
        """Evaluate an expression in the page and return its value; wait for promises to resolve."""
        options = {"returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], TIMEOUT)
            part = os.read(self._in, 1 << 20) if ready else b""
            assert part, "Chromium: expected a message, got none before the timeout"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._record(message.get("method", ""), message.get("params", {}))
        return message

    def _record(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests[params["requestId"]] = params["request"]["url"]
        elif event == "Network.loadingFailed" and params.get("blockedReason"):
            self.requests.pop(params["requestId"], None)
        elif event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Runtime.exceptionThrown":
            self.console_errors.append(str(params["exceptionDetails"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.console_errors.append(params["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("warning", "error"):
            self.console_errors.append(str(params["args"]))


@contextmanager
def launch(command: str, profile: Path) -> Iterator[Chromium]:
    """Yield a new browser with an empty profile and terminate it afterwards."""
    browser_in, client_out = os.pipe()
    client_in, browser_out = os.pipe()
    # The browser expects its pipes at descriptors 3 and 4. Copies above 10 survive both dup2 calls.
    copies = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (browser_in, browser_out)]

    def install_pipes() -> None:
        os.dup2(copies[0], 3)
        os.dup2(copies[1], 4)

    process = subprocess.Popen(
        [command, *OPTIONS, f"--user-data-dir={profile}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=install_pipes,  # noqa: PLW1509
        pass_fds=(3, 4),
    )
    for end in (browser_in, browser_out, *copies):
        os.close(end)
    try:
        yield Chromium(client_out, client_in)
    finally:
        process.terminate()
        process.wait()
        os.close(client_out)
        os.close(client_in)
