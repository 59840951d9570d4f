package kernel_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"loris/kernel/client"
	"loris/kernel/socket"
	"loris/kernel/wire"
)

// started is a kernel process with a connection file of the test's making.
type started struct {
	cmd    *exec.Cmd
	file   string
	stderr bytes.Buffer
	exited chan error
}

func startWith(t *testing.T, fields map[string]any, env ...string) *started {
	t.Helper()
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	s := &started{file: filepath.Join(t.TempDir(), "connection.json"), exited: make(chan error, 1)}
	if err := os.WriteFile(s.file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s.restart(t, env...)
	return s
}

func (s *started) restart(t *testing.T, env ...string) {
	t.Helper()
	s.cmd = kernelCommand(t, env...)
	s.cmd.Args[1] = s.file
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := s.cmd
	go func() { s.exited <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
}

func (s *started) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.exited:
		return err
	case <-timeout(t).Done():
		t.Fatal("the kernel does not end")
		return nil
	}
}

// connect waits until the kernel answers.
func (s *started) connect(t *testing.T) *client.Client {
	t.Helper()
	deadline := timeout(t)
	for {
		conn, err := wire.ReadConnection(s.file)
		if err == nil && !conn.HasOpenPorts() {
			c, cerr := client.Connect(timeout(t), conn)
			if cerr == nil {
				t.Cleanup(c.Close)
				return c
			}
			err = cerr
		}
		if deadline.Err() != nil {
			t.Fatalf("no connection: %v\n%s", err, s.stderr.String())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func openPorts(fields map[string]any) map[string]any {
	for _, ch := range wire.Channels {
		if fields[string(ch)+"_port"] == nil {
			fields[string(ch)+"_port"] = 0
		}
	}
	return fields
}

func TestPortZeroIsChosenAndWrittenBack(t *testing.T) {
	for _, fields := range []map[string]any{
		{"transport": "tcp", "ip": "127.0.0.1", "key": "secret", "kernel_name": "kept"},
		{"transport": "tcp", "ip": "0.0.0.0", "key": "secret", "kernel_name": "kept"},
		{"transport": "ipc", "ip": filepath.Join(shortDir(t), "k"), "key": "secret", "kernel_name": "kept"},
	} {
		t.Run(fmt.Sprint(fields["transport"], fields["ip"])[:6], func(t *testing.T) {
			s := startWith(t, openPorts(fields))
			c := s.connect(t)
			if _, err := c.Request(timeout(t), wire.Shell, "kernel_info_request", map[string]any{}); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(s.file)
			if err != nil {
				t.Fatal(err)
			}
			var now map[string]any
			parse(t, b, &now)
			if now["kernel_name"] != "kept" || now["key"] != "secret" || now["shell_port"] == 0.0 {
				t.Errorf("connection file %s", b)
			}
			if st, err := os.Stat(s.file); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, the file holds a key", st.Mode())
			}
		})
	}
}

func shortDir(t *testing.T) string { // socket paths are short
	dir, err := os.MkdirTemp("", "k")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestPortInUseEndsTheKernelWithAClearMessage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := startWith(t, openPorts(map[string]any{"key": "k", "control_port": l.Addr().(*net.TCPAddr).Port}))
	if err := s.wait(t); err == nil {
		t.Error("exit code 0")
	}
	if text := s.stderr.String(); !strings.Contains(text, "control_port") || !strings.Contains(text, "already in use") || strings.Count(text, "\n") != 1 {
		t.Errorf("stderr %q", text)
	}
}

func TestBadConnectionFilesAreExplained(t *testing.T) {
	for name, c := range map[string]struct {
		fields map[string]any
		want   string
	}{
		"half a curve pair": {map[string]any{"curve_publickey": strings.Repeat("0", 40)}, "only one of curve_publickey and curve_secretkey"},
		"mismatched pair":   {map[string]any{"curve_publickey": strings.Repeat("0", 40), "curve_secretkey": strings.Repeat("1", 40)}, "does not belong"},
		"bad Z85":           {map[string]any{"curve_publickey": strings.Repeat("~", 40), "curve_secretkey": strings.Repeat("1", 40)}, "40 characters of Z85"},
		"scheme":            {map[string]any{"signature_scheme": "rot13"}, "hmac-sha256"},
		"transport":         {map[string]any{"transport": "carrier pigeon"}, "tcp or ipc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startWith(t, openPorts(c.fields))
			if err := s.wait(t); err == nil || !strings.Contains(s.stderr.String(), c.want) {
				t.Errorf("%v: %q, want %q", err, s.stderr.String(), c.want)
			}
			if key, _ := c.fields["curve_secretkey"].(string); key != "" && strings.Contains(s.stderr.String(), key) {
				t.Error("the message shows the secret key")
			}
		})
	}
}

func TestRestartOnTheSameEndpointsAlsoAfterAKill(t *testing.T) {
	for _, transport := range []string{"tcp", "ipc"} {
		t.Run(transport, func(t *testing.T) {
			fields := map[string]any{"transport": transport, "ip": "127.0.0.1", "key": "k"}
			if transport == "ipc" {
				fields["ip"] = filepath.Join(shortDir(t), "k")
			}
			s := startWith(t, openPorts(fields))
			for round := range 3 {
				c := s.connect(t)
				if _, err := c.Execute(timeout(t), map[string]any{"code": "print x"}, client.Options{}, nil); err != nil {
					t.Fatal(round, err)
				}
				if round == 1 {
					s.cmd.Process.Kill()
				} else if _, err := c.Request(timeout(t), wire.Control, "shutdown_request", map[string]any{"restart": true}); err != nil {
					t.Fatal(err)
				}
				if err := s.wait(t); round != 1 && err != nil {
					t.Fatalf("exit: %v\n%s", err, s.stderr.String())
				}
				c.Close()
				if round < 2 {
					s.restart(t)
				}
			}
		})
	}
}

func TestShutdownDeliversReplyIdleAndBacklog(t *testing.T) {
	s := startWith(t, openPorts(map[string]any{"key": "k"}))
	c := s.connect(t)
	const lines = 20_000
	e, err := c.Start(map[string]any{"code": fmt.Sprintf("lines %d", lines)}, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Reply(timeout(t)); err != nil {
		t.Fatal(err)
	}
	idle := make(chan struct{}, 10)
	c.OnOther(func(ch wire.Channel, m *wire.Message) {
		if m.Header.MsgType == "status" && strings.Contains(string(m.Content), "idle") {
			idle <- struct{}{}
		}
	})
	if _, err := c.Request(timeout(t), wire.Control, "shutdown_request", map[string]any{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-idle:
	case <-timeout(t).Done():
		t.Error("the final idle was lost")
	}
	if err := s.wait(t); err != nil {
		t.Errorf("exit: %v", err)
	}
}

func TestShutdownDuringACell(t *testing.T) {
	for _, code := range []string{"loop", "hang", "flood"} {
		s := startWith(t, openPorts(map[string]any{"key": "k"}))
		c := s.connect(t)
		e := begin(t, c, code)
		if _, err := c.Request(timeout(t), wire.Control, "shutdown_request", map[string]any{}); err != nil {
			t.Fatal(err)
		}
		if err := s.wait(t); err != nil {
			t.Errorf("%s: exit %v", code, err)
		}
		if _, err := e.Reply(timeout(t)); err != nil {
			t.Errorf("%s: the cell got no reply: %v", code, err)
		}
	}
}

func TestSignals(t *testing.T) {
	s := startWith(t, openPorts(map[string]any{"key": "k"}))
	c := s.connect(t)
	e := begin(t, c, "set x 1\nloop")
	s.cmd.Process.Signal(syscall.SIGINT)
	reply, err := e.Reply(timeout(t))
	if err != nil || !strings.Contains(string(reply.Content), "Interrupted") {
		t.Fatalf("SIGINT: %v %s", err, reply.Content)
	}
	reply, err = c.Execute(timeout(t), map[string]any{"code": "get x"}, client.Options{}, nil)
	if err != nil || !strings.Contains(string(reply.Content), `"ok"`) {
		t.Fatalf("after SIGINT: %v", err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.wait(t); err != nil {
		t.Errorf("SIGTERM: exit %v", err)
	}
}

func workerPID(t *testing.T, kernel int) int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=,ppid=", "-A").Output()
	if err != nil {
		t.Skip("ps is missing")
	}
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		var pid, ppid int
		if fmt.Sscan(sc.Text(), &pid, &ppid); ppid == kernel {
			return pid
		}
	}
	t.Fatal("the kernel has no worker")
	return 0
}

func TestWorkerEndsWithAKilledKernel(t *testing.T) {
	s := startWith(t, openPorts(map[string]any{"key": "k"}))
	c := s.connect(t)
	begin(t, c, "hang")
	pid := workerPID(t, s.cmd.Process.Pid)
	s.cmd.Process.Kill()
	for deadline := timeout(t); deadline.Err() == nil; time.Sleep(10 * time.Millisecond) {
		if syscall.Kill(pid, 0) != nil {
			return
		}
	}
	syscall.Kill(pid, syscall.SIGKILL)
	t.Fatal("the worker outlived its kernel")
}

func TestKernelEndsWithTheProcessThatStartedIt(t *testing.T) {
	parent := exec.Command("sleep", "60")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	s := startWith(t, openPorts(map[string]any{"key": "k"}), fmt.Sprintf("JPY_PARENT_PID=%d", parent.Process.Pid))
	s.connect(t)
	parent.Process.Kill()
	parent.Wait()
	if err := s.wait(t); err != nil {
		t.Errorf("exit %v", err)
	}
}

func TestBadMessagesAreDroppedAndTheKernelGoesOn(t *testing.T) {
	s := startWith(t, openPorts(map[string]any{"key": "secret"}))
	c := s.connect(t)
	conn, err := wire.ReadConnection(s.file)
	if err != nil {
		t.Fatal(err)
	}
	good, _ := wire.NewSigner("hmac-sha256", "secret")
	bad, _ := wire.NewSigner("hmac-sha256", "guessed")
	ok := wire.NewSession(good, "t")
	forged := wire.NewSession(bad, "t")
	header := ok.NewHeader("execute_request")
	frames := func(s *wire.Session, content string) [][]byte {
		f, err := s.Encode(nil, s.NewHeader("execute_request"), nil, nil, []byte(content), nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	replay, _ := ok.Encode(nil, header, nil, nil, []byte(`{"code":"print x"}`), nil)
	messages := [][][]byte{
		{[]byte("garbage")}, {{}}, {[]byte("<IDS|MSG>")}, {[]byte("<IDS|MSG>"), {}, {}, {}, {}},
		frames(forged, `{"code":"exit 1"}`), frames(ok, `{"code":`), frames(ok, `[1]`), frames(ok, ``), frames(ok, `{"code":5}`),
		frames(ok, strings.Repeat(`{"a":`, 100_000)), frames(ok, "{\"code\":\"print \xff\xfe\"}"),
		frames(ok, `{"code":"print x"}`)[:5], replay, replay,
	}
	for _, ch := range []wire.Channel{wire.Shell, wire.Control, wire.Stdin} {
		d, err := socket.DialDealer(timeout(t), conn.Endpoint(ch), "evil")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, m := range messages {
			d.Send(m)
		}
		if ch == wire.Stdin { // answers nothing
			continue
		}
		// Cells queued behind a failed one are aborted, whoever sent it: wait until
		// the last of these has its reply.
		last := ok.NewHeader("execute_request")
		end, err := ok.Encode(nil, last, nil, nil, []byte(`{"code":"print end"}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		d.Send(end)
		d.SetReadDeadline(time.Now().Add(patience))
		for {
			f, err := d.Receive()
			if err != nil {
				t.Fatalf("%s: no reply to the last message: %v\n%s", ch, err, s.stderr.String())
			}
			if m, err := ok.Decode(f); err == nil && client.ParentID(m) == last.MsgID {
				break
			}
		}
	}
	for range 3 {
		reply, err := c.Execute(timeout(t), map[string]any{"code": "print still here"}, client.Options{}, nil)
		if err != nil || !strings.Contains(string(reply.Content), `"status":"ok"`) {
			t.Fatalf("%v %s\n%s", err, reply.Content, s.stderr.String())
		}
		if _, err := c.Request(timeout(t), wire.Control, "kernel_info_request", map[string]any{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHeartbeatEchoes(t *testing.T) {
	s := startWith(t, openPorts(map[string]any{"key": "k"}))
	s.connect(t)
	conn, err := wire.ReadConnection(s.file)
	if err != nil {
		t.Fatal(err)
	}
	hb, err := socket.DialReq(context.Background(), conn.Endpoint(wire.Heartbeat))
	if err != nil {
		t.Fatal(err)
	}
	defer hb.Close()
	for _, beat := range []string{"ping", "", "\x00\xff", strings.Repeat("x", 100_000)} {
		hb.Send([][]byte{{}, []byte(beat)})
		back, err := hb.Receive()
		if err != nil || len(back) != 2 || string(back[1]) != beat {
			t.Fatalf("%.10q came back as %.30q, %v", beat, back, err)
		}
	}
}

func TestLockedOrDamagedHistoryDoesNotStopTheKernel(t *testing.T) {
	damaged := filepath.Join(t.TempDir(), "damaged.sqlite")
	if err := os.WriteFile(damaged, bytes.Repeat([]byte("not a database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{damaged, "/proc/nowhere/history.sqlite", t.TempDir()} {
		p := launch(t, "LORIS_HISTORY="+file)
		if o := run(t, p, "print x"); o.status() != "ok" {
			t.Errorf("%s: %v", file, o.reply)
		}
		h := ask(t, p, wire.Shell, "history_request", map[string]any{"hist_access_type": "tail", "n": 5})["history"].([]any)
		if len(h) != 1 {
			t.Errorf("%s: history %v", file, h)
		}
	}
}

func TestSeveralClientsAtOnce(t *testing.T) {
	p := launch(t)
	done := make(chan error, 6)
	for i := range cap(done) {
		go func() {
			c, err := client.Connect(timeout(t), p.Connection)
			if err != nil {
				done <- err
				return
			}
			defer c.Close()
			for j := range 50 {
				text := ""
				want := fmt.Sprintf("%d-%d", i, j)
				reply, err := c.Execute(timeout(t), map[string]any{"code": "print " + want}, client.Options{}, func(m *wire.Message) {
					if m.Header.MsgType == "stream" {
						text += string(m.Content)
					}
				})
				if err == nil && (!strings.Contains(string(reply.Content), `"ok"`) || !strings.Contains(text, want+`\n`)) {
					err = fmt.Errorf("cell %s: %s %q", want, reply.Content, text)
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
