"""Drives a headless Chromium through its debugging pipe. Only Python's standard library."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    """One page in a browser of its own."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="notes-browser-", ignore_cleanup_errors=True)
        self.number = 0
        self.answers = {}
        self.changed = threading.Condition()
        self.errors = []     # What scripts threw, and what the page's policy forbade.
        self.dialogs = []    # What was asked; every question is answered with yes.
        self.session = None

    def __enter__(self):
        to_read, self.to = os.pipe()
        self.answers_from, to_write = os.pipe()

        def take_pipes():
            # The browser reads commands from 3 and writes answers to 4.
            source, target = os.dup(to_read), os.dup(to_write)
            os.dup2(source, 3)
            os.dup2(target, 4)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-gpu",
             "--disable-dev-shm-usage", "--remote-debugging-pipe",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=take_pipes, close_fds=False)
        os.close(to_read)
        os.close(to_write)
        threading.Thread(target=self._read, daemon=True).start()
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.command(f"{domain}.enable")
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        self.profile.cleanup()

    def _read(self):
        pending = b""
        while piece := os.read(self.answers_from, 65536):
            *whole, pending = (pending + piece).split(b"\0")
            for each in whole:
                self._take(json.loads(each))
        os.close(self.answers_from)

    def _take(self, message):
        with self.changed:
            if "id" in message:
                self.answers[message["id"]] = message
                self.changed.notify_all()
                return
            event, details = message["method"], message["params"]
            if event == "Runtime.exceptionThrown":
                self.errors.append(details["exceptionDetails"])
            elif event == "Log.entryAdded" and details["entry"]["source"] in ("javascript", "security"):
                self.errors.append(details["entry"]["text"])
            elif event == "Page.javascriptDialogOpening":
                self.dialogs.append(details["message"])
                self._send("Page.handleJavaScriptDialog", {"accept": True})

    def _send(self, method, parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        return self.number

    def command(self, method, **parameters):
        with self.changed:
            number = self._send(method, parameters)
            assert self.changed.wait_for(lambda: number in self.answers, 30), f"no answer to {method}"
            answer = self.answers.pop(number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def open(self, url):
        """Loads a page; gives its text."""
        loaded = self.command("Page.navigate", url=url)
        assert "errorText" not in loaded, loaded
        self.wait("the page", "document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script):
        """Gives the value of an expression, waited for if it is a promise."""
        result = self.command("Runtime.evaluate", expression=script, returnByValue=True,
                              awaitPromise=True)
        assert "exceptionDetails" not in result, (script, result)
        return result["result"].get("value")

    def wait(self, what, condition, seconds=15):
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, (
                f"did not happen within {seconds} s: {what}: {self.evaluate('document.body.innerText')}")
            time.sleep(0.02)

    def click(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector, text):
        """Writes into a field as a user does, so that the page hears of it."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus();"
                      f"document.querySelector({json.dumps(selector)}).select()")
        if text:
            self.command("Input.insertText", text=text)
        else:
            self.evaluate("document.execCommand('delete')")
