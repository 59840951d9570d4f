"""A real Jupyter client (libzmq) against the kernel of a connection file. Cells are
those of the scripted engine."""

import sys

from jupyter_client import BlockingKernelClient

kc = BlockingKernelClient(connection_file=sys.argv[1])
kc.load_connection_file()
kc.start_channels()
kc.wait_for_ready(timeout=30)


def run(code, **options):
    messages = []
    reply = kc.execute_interactive(code, timeout=30, output_hook=messages.append, **options)
    return reply["content"], messages


content, messages = run("print é😀\nhtml <b>\nvalue 42")
assert content["status"] == "ok", content
assert [m["msg_type"] for m in messages if m["msg_type"] not in ("status", "execute_input")] == [
    "stream", "display_data", "execute_result"], messages
assert messages[2]["content"]["text"] == "é😀\n", messages[2]

content, messages = run("lines 20000")
text = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
assert text == "".join(f"{i}\n" for i in range(20000))

content, messages = run("big 30000000")
assert any(len(m["content"].get("data", {}).get("text/plain", "")) == 30_000_000 for m in messages)

content, messages = run("comm c1")
opened = [m for m in messages if m["msg_type"] == "comm_open"][0]
assert bytes(opened["buffers"][0]) == b"\x01\x02\x03" and opened["metadata"] == {"version": "2.1.0"}

content, messages = run("input name?", stdin_hook=lambda m: kc.input("ada"), allow_stdin=True)
assert any(m["content"].get("text") == "<ada>\n" for m in messages), messages

content, _ = run("fail boom")
assert content["status"] == "error" and content["evalue"] == "boom", content
assert kc.is_alive()
kc.shutdown()
print("ok")
