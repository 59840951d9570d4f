package kernel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loris/kernel"
	"loris/kernel/client"
	"loris/kernel/internal/scripted"
	"loris/kernel/wire"
	"loris/kernel/worker"
)

// The test binary is also the kernel and its worker: LORIS_TEST_ROLE says which.
func TestMain(m *testing.M) {
	switch os.Getenv("LORIS_TEST_ROLE") {
	case "worker":
		conn, err := worker.Inherited()
		if err == nil {
			err = worker.Serve(context.Background(), conn, scripted.New)
		}
		exit(err)
	case "kernel":
		exit(runKernel(os.Args[len(os.Args)-1]))
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runKernel(file string) error {
	level := slog.LevelError
	if os.Getenv("LORIS_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	return kernel.Run(context.Background(), kernel.Config{
		ConnectionFile: file,
		Worker:         worker.Command{Path: os.Args[0], Args: []string{"-test.run=^$"}, Env: append(os.Environ(), "LORIS_TEST_ROLE=worker")},
		Info:           kernel.Info{Implementation: "scripted", Version: "1.0", LanguageVersion: "1.26", Banner: "test kernel", HelpLinks: []kernel.HelpLink{{Text: "Go", URL: "https://go.dev"}}},
		History:        os.Getenv("LORIS_HISTORY"),
		Patience:       time.Second,
		Log:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		Signals:        true,
	})
}

func kernelCommand(t testing.TB, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "{connection_file}")
	cmd.Env = append(os.Environ(), "LORIS_TEST_ROLE=kernel", "LORIS_HISTORY="+filepath.Join(t.TempDir(), "history.sqlite"))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// launch starts a kernel and ends it with the test.
func launch(t testing.TB, env ...string) *client.Process {
	t.Helper()
	p, err := client.Launch(timeout(t), kernelCommand(t, env...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// patience is how long tests wait for what must come: long, since a machine may
// be busy with much else.
const patience = 2 * time.Minute

func timeout(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// begin starts a cell and returns when it runs.
func begin(t testing.TB, c *client.Client, code string) *client.Execution {
	t.Helper()
	return beginIn(t, c, "", code)
}

// beginIn is begin in a subshell.
func beginIn(t testing.TB, c *client.Client, subshell, code string) *client.Execution {
	t.Helper()
	e, err := c.Start(map[string]any{"code": "print begun\n" + code, "allow_stdin": true}, client.Options{Subshell: subshell})
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := e.Next(timeout(t))
		if err != nil || m == nil {
			t.Fatalf("%s: it has ended before it began: %v", code, err)
		}
		if m.Header.MsgType == "stream" {
			return e
		}
	}
}

// outcome is what a cell has shown and replied.
type outcome struct {
	types  []string // of IOPub messages, without status and execute_input
	stdout string
	stderr string
	msgs   []*wire.Message
	reply  map[string]any
	meta   map[string]any
}

func run(t testing.TB, p *client.Process, code string) outcome {
	t.Helper()
	return runWith(t, p, map[string]any{"code": code, "allow_stdin": true})
}

func runWith(t testing.TB, p *client.Process, content map[string]any) outcome {
	t.Helper()
	var o outcome
	reply, err := p.Execute(timeout(t), content, client.Options{}, func(m *wire.Message) {
		o.msgs = append(o.msgs, m)
		switch m.Header.MsgType {
		case "status", "execute_input":
			return
		case "stream":
			var s struct{ Name, Text string }
			parse(t, m.Content, &s)
			if s.Name == "stdout" {
				o.stdout += s.Text
			} else {
				o.stderr += s.Text
			}
		}
		o.types = append(o.types, m.Header.MsgType)
	})
	if err != nil {
		t.Fatalf("execute %q: %v", content["code"], err)
	}
	parse(t, reply.Content, &o.reply)
	parse(t, reply.Metadata, &o.meta)
	return o
}

func parse(t testing.TB, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("bad JSON %.200q: %v", b, err)
	}
}

func (o outcome) status() string { s, _ := o.reply["status"].(string); return s }

func (o outcome) traceback() string {
	list, _ := o.reply["traceback"].([]any)
	var lines []string
	for _, l := range list {
		lines = append(lines, fmt.Sprint(l))
	}
	return strings.Join(lines, "\n")
}

// ask sends a request and returns the content of its reply.
func ask(t testing.TB, p *client.Process, ch wire.Channel, msgType string, content any) map[string]any {
	t.Helper()
	reply, err := p.Request(timeout(t), ch, msgType, content)
	if err != nil {
		t.Fatalf("%s: %v", msgType, err)
	}
	var m map[string]any
	parse(t, reply.Content, &m)
	return m
}
