package notebook

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"loris/kernel/socket"
	"loris/kernel/wire"
)

// TestMain serves as a kernel when the tests start themselves as one.
func TestMain(m *testing.M) {
	switch os.Getenv("NOTEBOOK_TEST_KERNEL") {
	case "":
		os.Exit(m.Run())
	case "crash":
		fmt.Fprintln(os.Stderr, "cannot start: no such thing")
		os.Exit(7)
	case "silent":
		time.Sleep(time.Hour)
	default:
		serve(os.Args[1])
	}
}

// scripted is a kernel whose cells are lines of commands:
//
//	out TEXT, err TEXT       write to a stream
//	show ID TEXT             display_data, "-" for no display id
//	update ID TEXT           update_display_data
//	clear, clearwait         clear_output
//	value TEXT               execute_result
//	fail NAME VALUE          end with an error
//	sleep                    wait for an interrupt
//	hang                     wait for ever
//	die                      end the process
type scripted struct {
	session   *wire.Session
	iopub     *socket.XPub
	interrupt chan struct{}
	count     int
}

func serve(connectionFile string) {
	conn, err := wire.ReadConnection(connectionFile)
	if err != nil {
		panic(err)
	}
	signer, err := wire.NewSigner(conn.SignatureScheme, conn.Key)
	if err != nil {
		panic(err)
	}
	k := &scripted{session: wire.NewSession(signer, "test"), interrupt: make(chan struct{}, 1)}
	opt := socket.Options{Log: slog.New(slog.DiscardHandler)}
	type request struct {
		c *socket.Conn
		m *wire.Message
	}
	queue := make(chan request, 100)
	k.iopub, err = socket.ListenXPub(conn.Endpoint(wire.IOPub), opt, func(c *socket.Conn, _ string) {
		frames, _ := k.session.Encode(nil, k.session.NewHeader("iopub_welcome"), nil, nil, []byte(`{"subscription":""}`), nil)
		c.Send(frames)
	})
	if err != nil {
		panic(err)
	}
	for ch, receive := range map[wire.Channel]func(*socket.Conn, *wire.Message){
		wire.Shell: func(c *socket.Conn, m *wire.Message) { queue <- request{c, m} },
		wire.Stdin: func(*socket.Conn, *wire.Message) {},
		wire.Control: func(c *socket.Conn, m *wire.Message) {
			k.reply(c, m, map[string]any{"status": "ok"})
			switch m.Header.MsgType {
			case "interrupt_request":
				k.interrupt <- struct{}{}
			case "shutdown_request":
				time.Sleep(10 * time.Millisecond)
				os.Exit(0)
			}
		},
	} {
		_, err := socket.ListenRouter(conn.Endpoint(ch), opt, func(c *socket.Conn, f [][]byte) {
			if m, err := k.session.Decode(f); err == nil {
				receive(c, m)
			}
		})
		if err != nil {
			panic(err)
		}
	}
	if _, err := socket.ListenEcho(conn.Endpoint(wire.Heartbeat), opt); err != nil { // last: the others are there
		panic(err)
	}
	for r := range queue {
		k.status(r.m, "busy")
		if r.m.Header.MsgType == "kernel_info_request" {
			k.reply(r.c, r.m, map[string]any{"status": "ok", "language_info": map[string]any{"name": "script", "version": "1"}})
		} else {
			k.execute(r.c, r.m)
		}
		k.status(r.m, "idle")
	}
}

func (k *scripted) reply(c *socket.Conn, m *wire.Message, content map[string]any) {
	h := k.session.NewHeader(strings.Replace(m.Header.MsgType, "_request", "_reply", 1))
	b, _ := wire.JSON.Marshal(content)
	frames, _ := k.session.Encode(m.Identities, h, m.RawHeader, nil, b, nil)
	c.Send(frames)
}

func (k *scripted) publish(m *wire.Message, kind string, content map[string]any) {
	b, _ := wire.JSON.Marshal(content)
	frames, _ := k.session.Encode([][]byte{[]byte(kind)}, k.session.NewHeader(kind), m.RawHeader, nil, b, nil)
	k.iopub.Publish(frames)
}

func (k *scripted) status(m *wire.Message, state string) {
	k.publish(m, "status", map[string]any{"execution_state": state})
}

func (k *scripted) execute(c *socket.Conn, m *wire.Message) {
	var r struct {
		Code       string
		AllowStdin bool `json:"allow_stdin"`
	}
	wire.JSON.Unmarshal(m.Content, &r)
	k.count++
	if r.AllowStdin {
		k.reply(c, m, map[string]any{"status": "error", "execution_count": k.count, "ename": "Stdin", "evalue": "was allowed"})
		return
	}
	for line := range strings.Lines(r.Code) {
		command, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if name, value, failed := k.command(m, command, rest); failed {
			k.publish(m, "error", map[string]any{"ename": name, "evalue": value, "traceback": []string{name + ": " + value}})
			k.reply(c, m, map[string]any{"status": "error", "execution_count": k.count, "ename": name, "evalue": value, "traceback": []string{name + ": " + value}})
			return
		}
	}
	k.reply(c, m, map[string]any{"status": "ok", "execution_count": k.count})
}

func (k *scripted) command(m *wire.Message, command, rest string) (name, value string, failed bool) {
	bundle := func(s string) map[string]any {
		return map[string]any{"data": map[string]any{"text/plain": s}, "metadata": map[string]any{}}
	}
	switch command {
	case "out", "err":
		k.publish(m, "stream", map[string]any{"name": "std" + command, "text": strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(rest)})
	case "show", "update":
		id, s, _ := strings.Cut(rest, " ")
		b := bundle(s)
		if id != "-" {
			b["transient"] = map[string]any{"display_id": id}
		}
		k.publish(m, map[string]string{"show": "display_data", "update": "update_display_data"}[command], b)
	case "clear", "clearwait":
		k.publish(m, "clear_output", map[string]any{"wait": command == "clearwait"})
	case "value":
		b := bundle(rest)
		b["execution_count"] = k.count
		k.publish(m, "execute_result", b)
	case "fail":
		name, value, _ := strings.Cut(rest, " ")
		return name, value, true
	case "sleep":
		<-k.interrupt
		return "Interrupted", "by request", true
	case "hang":
		select {}
	case "die":
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(3)
	}
	return "", "", false
}
