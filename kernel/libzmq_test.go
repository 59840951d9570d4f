package kernel_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loris/kernel/wire"
)

// TestLibzmqClient runs jupyter_client on pyzmq, the implementation that matters,
// against the kernel. LORIS_PYTHON names a Python that has jupyter_client.
func TestLibzmqClient(t *testing.T) {
	python := os.Getenv("LORIS_PYTHON")
	if python == "" {
		t.Skip("set LORIS_PYTHON to a Python with jupyter_client")
	}
	keys, err := exec.Command(python, "-c", "import zmq; print(*(k.decode() for k in zmq.curve_keypair()))").Output()
	if err != nil {
		t.Fatal(err)
	}
	curve := strings.Fields(string(keys))
	for _, transport := range []string{"tcp", "ipc"} {
		for _, encrypted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/curve=%t", transport, encrypted), func(t *testing.T) {
				fields := map[string]any{"transport": transport, "ip": "127.0.0.1", "key": "secret", "signature_scheme": "hmac-sha256", "kernel_name": ""}
				if transport == "ipc" {
					fields["ip"] = filepath.Join(shortDir(t), "k")
				}
				if encrypted {
					fields["curve_publickey"], fields["curve_secretkey"] = curve[0], curve[1]
				}
				s := startWith(t, openPorts(fields))
				for deadline := timeout(t); ; time.Sleep(5 * time.Millisecond) { // until the ports are there
					if c, err := wire.ReadConnection(s.file); err == nil && !c.HasOpenPorts() {
						break
					} else if deadline.Err() != nil {
						t.Fatalf("%v\n%s", err, s.stderr.String())
					}
				}
				out, err := exec.CommandContext(timeout(t), python, filepath.Join("testdata", "client.py"), s.file).CombinedOutput()
				if err != nil || strings.TrimSpace(string(out)) != "ok" {
					t.Fatalf("%v\n%s\n%s", err, out, s.stderr.String())
				}
				if err := s.wait(t); err != nil {
					t.Errorf("exit: %v", err)
				}
			})
		}
	}
}
