"""What the drivers share: a private kernelspec for a loris binary, and a client
with deadlines."""

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import time
from pathlib import Path

from jupyter_client.manager import KernelManager

NAME = "loris-under-test"

# Seconds to wait for what must come: long, since a machine may be busy with much
# else.
PATIENCE = 120


@contextlib.contextmanager
def private_kernelspec(binary):
    """Installs the binary's kernelspec where only this process looks, with a
    history file of its own."""
    binary = Path(binary).resolve()
    if not binary.exists():
        raise SystemExit(f"{binary} does not exist: run `make build` first")
    with tempfile.TemporaryDirectory(prefix="loris-") as folder:
        subprocess.run(
            [binary, "install", "--prefix", folder, "--name", NAME],
            check=True, stdout=subprocess.DEVNULL,
        )
        share = os.path.join(folder, "share", "jupyter")
        old = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = share + (os.pathsep + old if old else "")
        os.environ["LORIS_HISTORY"] = os.path.join(folder, "history.sqlite")
        yield NAME


class Kernel:
    """A running kernel and one client of it."""

    def __init__(self, name, timeout=PATIENCE, **options):
        self.km = KernelManager(kernel_name=name, **options)
        self.km.start_kernel()
        self.kc = self.km.client()
        self.kc.start_channels()
        try:
            self.ask("shell", "kernel_info_request", {}, timeout)
            self.answered = time.perf_counter()  # wait_for_ready takes 0.2 s more in any case
            self.kc.wait_for_ready(timeout=timeout)
        except BaseException:
            self.close()
            raise

    def close(self):
        self.kc.stop_channels()
        if self.km.has_kernel:
            self.km.shutdown_kernel(now=True)
        self.km.cleanup_resources()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def send(self, channel, msg_type, content, **more):
        message = self.kc.session.msg(msg_type, content, **more)
        getattr(self.kc, channel + "_channel").send(message)
        return message["header"]["msg_id"]

    def reply(self, channel, msg_id, timeout=PATIENCE):
        """The reply to a request, or None when the time is over."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                m = getattr(self.kc, channel + "_channel").get_msg(timeout=left)
                if m["parent_header"].get("msg_id") == msg_id:
                    return m
        return None

    def ask(self, channel, msg_type, content, timeout=PATIENCE):
        m = self.reply(channel, self.send(channel, msg_type, content), timeout)
        assert m is not None, f"no reply to {msg_type} on {channel}"
        return m["content"]

    def iopub(self, msg_id, timeout=PATIENCE):
        """All IOPub messages of a request, up to its idle."""
        out, end = [], time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                m = self.kc.iopub_channel.get_msg(timeout=left)
            except queue.Empty:
                break
            if m["parent_header"].get("msg_id") != msg_id:
                continue
            out.append(m)
            if m["msg_type"] == "status" and m["content"]["execution_state"] == "idle":
                return out
        raise AssertionError(f"no idle within {timeout} s, only {[m['msg_type'] for m in out]}")

    def begin(self, code, **options):
        """Starts a cell and returns its id when it runs."""
        msg_id = self.kc.execute(f'fmt.Println("begun")\n{code}', **options)
        while True:
            m = self.kc.iopub_channel.get_msg(timeout=PATIENCE)
            if m["parent_header"].get("msg_id") == msg_id and m["msg_type"] == "stream":
                return msg_id

    def run(self, code, timeout=PATIENCE, **options):
        """Runs a cell: reply content, IOPub messages."""
        msg_id = self.kc.execute(code, **options)
        messages = self.iopub(msg_id, timeout)
        r = self.reply("shell", msg_id, timeout)
        assert r is not None, "no execute_reply"
        return r["content"], messages


def text(messages, name="stdout"):
    return "".join(
        m["content"]["text"] for m in messages
        if m["msg_type"] == "stream" and m["content"]["name"] == name
    )


def types(messages):
    return [m["msg_type"] for m in messages if m["msg_type"] not in ("status", "execute_input")]


def write_json(path, value):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(value, indent=2) + "\n")
