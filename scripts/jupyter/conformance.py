"""Checks of the kernel with real Jupyter clients that jupyter_kernel_test lacks.

    python conformance.py --binary build/loris [name…]
"""

import argparse
import os
import queue
import signal
import socket
import sys
import tempfile
import time
import traceback
import uuid

import nbformat
import zmq
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from loriskernel import NAME, PATIENCE, Kernel, private_kernelspec, text, types

checks = []


def check(f):
    checks.append(f)
    return f


def with_kernel(f):
    def run():
        with Kernel(NAME) as k:
            f(k)

    run.__name__ = f.__name__
    run.__doc__ = f.__doc__
    checks.append(run)
    return run


def equal(got, want, what=""):
    assert got == want, f"{what}: got {repr(got)[:400]}, want {repr(want)[:400]}"


ENDLESS = "for {\n}"
COUNT = "n := 0\nfor i := 0; i < 10; i++ {\n\tn += i\n}\nn"


@with_kernel
def identity(k):
    """own session id, sub-second dates, `started`, welcome, info on both channels"""
    r, messages = k.run("1 + 1")
    equal(r["status"], "ok")
    assert messages[0]["header"]["session"] != k.kc.session.session
    assert any(m["header"]["date"].microsecond for m in messages)
    reply = k.reply("shell", k.kc.execute("1 + 1"))
    assert "started" in reply["metadata"]
    for channel in ("shell", "control"):
        info = k.ask(channel, "kernel_info_request", {})
        equal(info["language_info"]["name"], "go")
        equal(info["language_info"]["mimetype"], "text/x-go")
        assert info["protocol_version"] >= "5.5"
        assert isinstance(info["supported_features"], list)


@with_kernel
def busy_and_idle(k):
    """every request is bracketed, of whatever type and channel"""
    for channel, msg_type, content in [
        ("shell", "kernel_info_request", {}),
        ("shell", "comm_info_request", {}),
        ("shell", "history_request", {"hist_access_type": "tail", "n": 3, "raw": True, "output": False}),
        ("shell", "is_complete_request", {"code": "1"}),
        ("shell", "complete_request", {"code": "fmt.", "cursor_pos": 4}),
        ("shell", "inspect_request", {"code": "fmt", "cursor_pos": 3, "detail_level": 0}),
        ("shell", "unheard_of_request", {}),
        ("control", "interrupt_request", {}),
        ("control", "usage_request", {}),
        ("control", "debug_request", {"type": "request", "seq": 1, "command": "debugInfo"}),
        ("control", "unheard_of_request", {}),
    ]:
        messages = k.iopub(k.send(channel, msg_type, content))
        states = [m["content"]["execution_state"] for m in messages if m["msg_type"] == "status"]
        equal(states, ["busy", "idle"], msg_type)


@with_kernel
def control_channel(k):
    """control answers while a cell runs"""
    cell = k.begin(ENDLESS)
    usage = k.ask("control", "usage_request", {})
    assert usage["kernel_memory"] > 1 << 20 and usage["cpu_count"] >= 1, usage
    debug = k.ask("control", "debug_request", {"type": "request", "seq": 3, "command": "attach"})
    equal(debug["success"], False)
    equal(k.ask("control", "interrupt_request", {})["status"], "ok")
    equal(k.reply("shell", cell)["content"]["status"], "error")


@with_kernel
def help_beside_a_running_cell(k):
    """completion, inspection and comms are answered while a cell runs"""
    cell = k.begin(ENDLESS)
    for msg_type, content in [
        ("complete_request", {"code": "strings.HasPre", "cursor_pos": 14}),
        ("inspect_request", {"code": "fmt.Println", "cursor_pos": 11, "detail_level": 0}),
        ("is_complete_request", {"code": "func f() {"}),
        ("comm_info_request", {}),
    ]:
        equal(k.ask("shell", msg_type, content)["status"] in ("ok", "incomplete"), True, msg_type)
    k.ask("control", "interrupt_request", {})
    equal(k.reply("shell", cell)["content"]["status"], "error")


@with_kernel
def subshells(k):
    """cells run, are completed and see variables beside a cell of the main shell"""
    assert "kernel subshells" in k.ask("shell", "kernel_info_request", {})["supported_features"]
    k.run("shared := 20")
    main = k.begin("for shared < 100 {\n\ttime.Sleep(time.Millisecond)\n}\nshared")
    sub = k.ask("control", "create_subshell_request", {})["subshell_id"]
    equal(k.ask("control", "list_subshell_request", {})["subshell_id"], [sub])

    def send(msg_type, content):
        message = k.kc.session.msg(msg_type, content)
        message["header"]["subshell_id"] = sub
        k.kc.shell_channel.send(message)
        return message["header"]["msg_id"]

    msg_id = send("execute_request", {"code": "func twice(n int) int { return 2 * n }\ntwice(shared + 1)"})
    messages = k.iopub(msg_id)
    equal(types(messages), ["execute_result"])
    equal(messages[2]["content"]["data"]["text/plain"], "42")
    equal(messages[2]["parent_header"]["subshell_id"], sub)
    equal(k.reply("shell", msg_id)["content"]["status"], "ok")
    reply = k.reply("shell", send("complete_request", {"code": "twi", "cursor_pos": 3}))["content"]
    equal(reply["matches"], ["twice"])
    msg_id = send("execute_request", {"code": 'panic("sub")'})
    equal(types(k.iopub(msg_id)), ["error"])
    msg_id = send("execute_request", {"code": "shared = 100"})
    messages = k.iopub(main)
    equal([m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result"], ["100"])
    equal(k.ask("control", "delete_subshell_request", {"subshell_id": sub})["status"], "ok")
    equal(k.reply("shell", send("execute_request", {"code": "1"}))["content"]["ename"], "UnknownSubshell")


@with_kernel
def silent_and_store_history(k):
    """silent cells show nothing; neither they nor store_history=False count"""
    r, _ = k.run("x := 5\nx")
    first = r["execution_count"]
    r, messages = k.run('fmt.Println("zz")\nx', silent=True)
    equal((r["status"], types(messages)), ("ok", []))
    assert not any(m["msg_type"] == "execute_input" for m in messages)
    r, messages = k.run("x", store_history=False)
    assert "execution_count" in r
    r, _ = k.run("x")
    equal(r["execution_count"], first + 1)


@with_kernel
def user_expressions(k):
    """evaluated after success, errors stay inside their key"""
    r, _ = k.run("y := 20", user_expressions={"good": "y + 1", "bad": "nothing"})
    equal(r["user_expressions"]["good"]["status"], "ok")
    equal(r["user_expressions"]["good"]["data"]["text/plain"], "21")
    equal(r["user_expressions"]["bad"]["status"], "error")


@with_kernel
def queue_abort(k):
    """cells queued behind a failed one are aborted, others are not"""
    fails = 'var s string\nfmt.Scanln(&s)\npanic("x")'
    for stop, want in (True, ["error", "aborted", "aborted"]), (False, ["error", "ok", "ok"]):
        ids = [k.kc.execute(fails, stop_on_error=stop, allow_stdin=True), k.kc.execute("1"), k.kc.execute("2")]
        k.kc.get_stdin_msg(timeout=PATIENCE)
        behind = k.send("shell", "kernel_info_request", {})  # received when the cells before it are
        replies = {}
        while set(replies) != {*ids, behind}:
            m = k.kc.get_shell_msg(timeout=PATIENCE)
            replies[m["parent_header"]["msg_id"]] = m["content"]["status"]
            if m["parent_header"]["msg_id"] == behind:
                k.kc.input("go")
        equal([replies[i] for i in ids], want)
    equal(k.run("1")[0]["status"], "ok")


@with_kernel
def errors_are_complete(k):
    for code in ['panic("boom")', "1 +", "undefinedName"]:
        r, messages = k.run(code)
        equal(r["status"], "error", code)
        assert r["ename"] and r["evalue"] and all(isinstance(line, str) for line in r["traceback"]), r
        equal(types(messages), ["error"], code)


@with_kernel
def history(k):
    """true session and line numbers, ranges, patterns"""
    for code in ["1 + 1", "2 + 2", "1 + 1"]:
        k.run(code)
    ask = lambda **c: k.ask("shell", "history_request", {"raw": True, "output": False, **c})["history"]
    tail = ask(hist_access_type="tail", n=2)
    equal([h[2] for h in tail], ["2 + 2", "1 + 1"])
    session, line = tail[0][:2]
    equal(ask(hist_access_type="range", session=session, start=line, stop=line + 1), [tail[0]])
    equal(len(ask(hist_access_type="range", session=0, start=1)), line + 1, "session 0 is this one")
    equal(len(ask(hist_access_type="search", pattern="1 ? 1", n=10, unique=True)), 1)
    out = k.ask("shell", "history_request", {"raw": True, "output": True, "hist_access_type": "tail", "n": 1})
    equal(out["history"][0][2], ["1 + 1", "2"])


@check
def history_survives_restarts():
    marker = f'"{uuid.uuid4()}"'
    with Kernel(NAME) as k:
        k.run(marker)
        old = k.ask("shell", "history_request", {"hist_access_type": "tail", "n": 1, "raw": True, "output": False})
        k.km.restart_kernel(now=False)
        k.kc.wait_for_ready(timeout=PATIENCE)
        found = k.ask("shell", "history_request", {"hist_access_type": "search", "pattern": marker, "raw": True, "output": False})
        equal(found["history"], old["history"])
        k.run("1 + 1")
        new = k.ask("shell", "history_request", {"hist_access_type": "tail", "n": 1, "raw": True, "output": False})
        assert new["history"][0][0] > old["history"][0][0], "a restart is a new session"


@with_kernel
def unicode_offsets(k):
    """cursors count code points, also behind 😀 and combining marks"""
    k.run("import \"strings\"")
    for prefix in ["", "s := \"é\"; ", "s := \"😀😀\"; ", "s := \"e\u0301\"; "]:
        code = prefix + "strings.HasPre"
        c = k.ask("shell", "complete_request", {"code": code, "cursor_pos": len(code)})
        equal(c["matches"], ["HasPrefix"], code)
        equal((c["cursor_start"], c["cursor_end"]), (len(code) - 6, len(code)), code)
    r, messages = k.run('fmt.Println("é😀漢")')
    equal(text(messages), "é😀漢\n")


@with_kernel
def big_output(k):
    """a hundred thousand lines in order, and a line of twenty megabytes"""
    _, messages = k.run("for i := 0; i < 100000; i++ {\n\tfmt.Println(i)\n}")
    equal(text(messages), "".join(f"{i}\n" for i in range(100_000)))
    _, messages = k.run('fmt.Print(strings.Repeat("x", 20000000))')
    equal(len(text(messages)), 20_000_000)


@with_kernel
def order_of_streams(k):
    code = "for i := 0; i < 50; i++ {\n\tfmt.Println(i)\n\tfmt.Fprintln(os.Stderr, i)\n}"
    _, messages = k.run(code)
    got = [(m["content"]["name"], m["content"]["text"]) for m in messages if m["msg_type"] == "stream"]
    equal(got, [(s, f"{i}\n") for i in range(50) for s in ("stdout", "stderr")])


@with_kernel
def stdin(k):
    """input is asked for, and refused where the client cannot be asked"""
    code = 'var s string\nfmt.Scanln(&s)\nfmt.Println("got", s)'
    msg_id = k.kc.execute(code, allow_stdin=True)
    q = k.kc.get_stdin_msg(timeout=PATIENCE)
    equal(q["msg_type"], "input_request")
    k.kc.input("ada")
    equal(k.reply("shell", msg_id)["content"]["status"], "ok")
    assert "got ada" in text(k.iopub(msg_id))
    r, messages = k.run("var line string\n_, err := fmt.Scanln(&line)\nerr.Error()", allow_stdin=False)
    assert "allow_stdin is false" in messages[2]["content"]["data"]["text/plain"], messages[2]["content"]
    msg_id = k.kc.execute(code, allow_stdin=True)  # an interrupt ends the waiting
    k.kc.get_stdin_msg(timeout=PATIENCE)
    k.km.interrupt_kernel()
    assert k.reply("shell", msg_id) is not None
    k.iopub(msg_id)
    equal(k.run("1 + 1")[0]["status"], "ok")


@with_kernel
def comms(k):
    """an unknown target is closed; comm_info lists nothing then"""
    comm = uuid.uuid4().hex
    messages = k.iopub(k.send("shell", "comm_open", {"comm_id": comm, "target_name": "nope", "data": {}}))
    equal(types(messages), ["comm_close"])
    equal(k.ask("shell", "comm_info_request", {})["comms"], {})


@with_kernel
def interrupt_keeps_variables(k):
    """endless loop, sleep, channel: stopped, variables kept"""
    k.run("kept := 42")
    for code in [ENDLESS, "time.Sleep(time.Hour)", "<-make(chan int)"]:
        msg_id = k.begin(code)
        k.km.interrupt_kernel()
        equal(k.reply("shell", msg_id)["content"]["status"], "error", code)
        k.iopub(msg_id)
        r, messages = k.run("kept")
        equal(r["status"], "ok", "after " + code)


@with_kernel
def sigint(k):
    """a signal works as well as the message"""
    msg_id = k.begin(ENDLESS)
    os.kill(k.km.provisioner.pid, signal.SIGINT)
    equal(k.reply("shell", msg_id)["content"]["status"], "error")
    equal(k.run("1 + 1")[0]["status"], "ok")


@with_kernel
def crash_of_the_worker(k):
    """the cell says why, names what is gone and which cells to run again"""
    k.run("precious := 7")
    k.run("treasure := 8")
    r, messages = k.run("syscall.Kill(os.Getpid(), syscall.SIGKILL)\ntime.Sleep(time.Minute)")
    equal(r["status"], "error")
    report = "\n".join(r["traceback"])
    for word in ["precious", "treasure", "[1] [2]"]:
        assert word in report, report
    equal(k.run("1 + 1")[0]["status"], "ok")


@with_kernel
def bad_frames(k):
    """wrong signatures, truncated messages and garbage are dropped"""
    context = zmq.Context()
    try:
        for port in (k.km.shell_port, k.km.control_port, k.km.stdin_port):
            d = context.socket(zmq.DEALER)
            d.linger = 0
            d.connect(f"tcp://{k.km.ip}:{port}")
            d.send_multipart([b"<IDS|MSG>", b"00" * 32, b"{}", b"{}", b"{}", b"{}"])
            d.send_multipart([b"garbage"])
            d.send_multipart([b"", b"<IDS|MSG>"])
            d.send_multipart([b"<IDS|MSG>", b"", b"{}"])
            d.send_multipart([b"x"] * 500)
        for port in (k.km.shell_port, k.km.iopub_port, k.km.hb_port):
            for junk in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" + bytes(8) + b"\x7f", os.urandom(4096)):
                s = socket.create_connection((k.km.ip, port))
                s.sendall(junk)
        time.sleep(0.5)
        assert k.km.is_alive()
        equal(k.run("1 + 1")[0]["status"], "ok")
        assert k.kc.is_alive(), "heartbeat"
    finally:
        context.destroy(linger=0)


@with_kernel
def replies_are_correctly_signed(k):
    """pyzmq with a wrong key understands nothing, with the right key everything"""
    client = k.km.client()
    client.session.key = b"wrong"
    client.start_channels()
    try:
        client.kernel_info()
        try:
            client.get_shell_msg(timeout=1)
            raise AssertionError("a message with a wrong signature was answered")
        except queue.Empty:
            pass
    finally:
        client.stop_channels()
    equal(k.run("1 + 1")[0]["status"], "ok")


@check
def restart_on_the_same_ports():
    with Kernel(NAME) as k:
        k.run("x := 1")
        ports = (k.km.shell_port, k.km.iopub_port)
        for now in (False, True):
            k.km.restart_kernel(now=now)
            k.kc.wait_for_ready(timeout=PATIENCE)
            equal((k.km.shell_port, k.km.iopub_port), ports)
            equal(k.run("x")[0]["status"], "error", "a restart forgets")


@check
def shutdown_is_graceful():
    with Kernel(NAME) as k:
        c = k.ask("control", "shutdown_request", {"restart": False})
        equal((c["status"], c["restart"]), ("ok", False))
        end = time.monotonic() + PATIENCE
        while k.km.is_alive():
            assert time.monotonic() < end, "still alive"
            time.sleep(0.01)


def transport(**options):
    with Kernel(NAME, **options) as k:
        equal(k.run(COUNT)[0]["status"], "ok")
        big = k.run('fmt.Print(strings.Repeat("x", 3000000))')[1]
        equal(len(text(big)), 3_000_000)
        assert k.kc.is_alive(), "heartbeat"
        msg_id = k.begin(ENDLESS)
        k.km.interrupt_kernel()
        equal(k.reply("shell", msg_id)["content"]["status"], "error")
        k.km.restart_kernel(now=True)
        k.kc.wait_for_ready(timeout=PATIENCE)
        equal(k.run("1 + 1")[0]["status"], "ok")


@check
def ipc():
    with tempfile.TemporaryDirectory(prefix="k") as folder:
        transport(transport="ipc", ip=os.path.join(folder, "k"))


@check
def curve():
    """encrypted with the keys that jupyter_client hands out"""
    transport(transport_encryption="required")


@check
def curve_refuses_strangers():
    """without the server's key nobody gets through, and the kernel goes on"""
    with Kernel(NAME, transport_encryption="required") as k:
        context = zmq.Context()
        try:
            public, secret = zmq.curve_keypair()
            for keys in (None, (public, secret, zmq.curve_keypair()[0])):
                d = context.socket(zmq.DEALER)
                d.linger = 0
                if keys:
                    d.curve_publickey, d.curve_secretkey, d.curve_serverkey = keys
                d.connect(f"tcp://{k.km.ip}:{k.km.shell_port}")
                d.send_multipart(k.kc.session.serialize(k.kc.session.msg("kernel_info_request", {})))
                assert not d.poll(700), "a stranger was answered"
            equal(k.run("1 + 1")[0]["status"], "ok")
        finally:
            context.destroy(linger=0)


@check
def nbclient_runs_a_notebook():
    cells = [nbformat.v4.new_code_cell(c) for c in
             ['fmt.Println("one")', "x := 2", "x * 21", 'display.Show(display.HTML("<b>h</b>"))']]
    nb = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(nb, kernel_name=NAME, timeout=PATIENCE).execute()
    equal(nb.cells[0].outputs[0]["text"], "one\n")
    equal(nb.cells[2].outputs[0]["data"]["text/plain"], "42")
    equal(nb.cells[3].outputs[0]["data"]["text/html"], "<b>h</b>")


@check
def many_fresh_clients_lose_nothing():
    """busy and idle reach a client that asks right after it has connected"""
    with Kernel(NAME) as k:
        for _ in range(40):
            client = k.km.client()
            client.start_channels()
            try:
                msg_id = client.kernel_info()
                states = []
                while "idle" not in states:
                    m = client.get_iopub_msg(timeout=PATIENCE)
                    if m["parent_header"].get("msg_id") == msg_id:
                        states.append(m["content"]["execution_state"])
                equal(states, ["busy", "idle"])
            finally:
                client.stop_channels()


@check
def orphans_end():
    """a kernel ends when the process that started it is gone"""
    pid = os.fork()
    if pid == 0:
        km = KernelManager(kernel_name=NAME)
        km.start_kernel()
        with open(os.environ["LORIS_ORPHAN"], "w") as f:
            f.write(str(km.provisioner.pid))
        os._exit(0)
    os.waitpid(pid, 0)
    with open(os.environ["LORIS_ORPHAN"]) as f:
        kernel = int(f.read())
    for _ in range(10 * PATIENCE):
        try:
            with open(f"/proc/{kernel}/stat") as f:
                if f.read().split(")")[1].split()[0] == "Z":
                    return
        except OSError:
            return
        time.sleep(0.1)
    os.kill(kernel, signal.SIGKILL)
    raise AssertionError("the kernel lives on")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("names", nargs="*", help="checks to run (all)")
    args = parser.parse_args()
    failed, ran = [], 0
    with private_kernelspec(args.binary), tempfile.NamedTemporaryFile() as orphan:
        os.environ["LORIS_ORPHAN"] = orphan.name
        for f in checks:
            if args.names and f.__name__ not in args.names:
                continue
            ran += 1
            begin = time.monotonic()
            try:
                f()
                outcome = "ok"
            except Exception:
                failed.append(f.__name__)
                outcome = "FAILED\n" + traceback.format_exc(limit=-3)
            print(f"{f.__name__:34} {time.monotonic() - begin:5.1f} s  {outcome}", flush=True)
    print(f"conformance: {ran} checks, {len(failed)} failed" + (": " + ", ".join(failed) if failed else ""))
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
