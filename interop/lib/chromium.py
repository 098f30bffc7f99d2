"""Headless Chromium, driven over its DevTools protocol: one page, real keys, real clicks.

The protocol is JSON over a WebSocket; what is needed of both is here, so that no package has to be installed.
"""
import base64
import json
import os
import socket
import urllib.request

from stage import Failed, free_port, wait_for

KEYS = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--disable-dev-shm-usage"]


class WebSocket:
    """A client's side of RFC 6455, text only."""

    def __init__(self, host, port, path, seconds=30):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Failed(f"no WebSocket at {path}: {head[:200]!r}")

    def read(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(1 << 16)
            if not more:
                raise Failed("the browser closed its connection")
            self.buffer += more
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big") if size < 65536 else b"\xff" + size.to_bytes(8, "big")
        self.socket.sendall(b"\x81" + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

    def receive(self):
        """The next whole message."""
        message = b""
        while True:
            first, second = self.read(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(self.read(2 if size == 126 else 8), "big")
            data = self.read(size)
            if first & 0x0F in (0, 1):
                message += data
                if first & 0x80:
                    return message.decode()


class Browser:
    """A browser with one page. `errors` holds every uncaught error, refusal of the policy and dialog since `open`."""

    def __init__(self, stage, width=1280, height=800):
        port = free_port()
        argv = ["chromium", *FLAGS, f"--remote-debugging-port={port}", f"--user-data-dir={stage.path('chromium', 'profile')}",
                f"--window-size={width},{height}", "about:blank"]
        process = stage.spawn("chromium", argv)

        def first_page():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
                return next((row for row in json.load(answer) if row["type"] == "page"), None)
        page = stage.wait_alive(process, "a page of Chromium", first_page, 60)
        self.link = WebSocket("127.0.0.1", port, page["webSocketDebuggerUrl"].split(f":{port}", 1)[1])
        self.number = 0
        self.errors = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.number += 1
        number = self.number
        self.link.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.link.receive())
            if message.get("id") != number:
                self.note(message)
            elif "error" in message:
                raise Failed(f"{method}: {message['error']}")
            else:
                return message["result"]

    def note(self, message):
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            # What the server refuses is shown by the page; the rest is the page's own fault.
            if params["entry"]["source"] != "network":
                self.errors.append(params["entry"]["text"])
        elif message.get("method") == "Page.javascriptDialogOpening":
            self.errors.append("a dialog opened: " + params["message"])
            self.number += 1
            self.link.send(json.dumps({"id": self.number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}))

    def open(self, address):
        """Loads an address anew, also where it differs from the current one behind the `#` only."""
        self.call("Page.navigate", url="about:blank")
        self.errors.clear()
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'", f"{address} to load")

    def script(self, expression):
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise Failed(f"{expression}: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")

    def wait(self, expression, what, seconds=20):
        return wait_for(what, lambda: self.script(expression), seconds)

    def type(self, text):
        for letter in text:
            self.call("Input.dispatchKeyEvent", type="keyDown", text=letter, key=letter)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=letter)

    def press(self, key, times=1):
        for _ in range(times):
            for kind in ("rawKeyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key])

    def place(self, selector):
        """Middle of an element."""
        return self.script(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'nearest'}}); "
                           "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")

    def mouse(self, kind, x, y, buttons=0):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if kind != "mouseMoved" else "none", buttons=buttons, clickCount=1)

    def click(self, selector):
        x, y = self.place(selector)
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, 1)
        self.mouse("mouseReleased", x, y)

    def look(self, width, height, dark=False):
        """The size of the window and the reader's choice of colours."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
