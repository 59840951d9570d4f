package kernel

import (
	"errors"
	"fmt"
	"net"
	"time"

	"loris/kernel/socket"
	"loris/kernel/wire"
)

// bind opens the five sockets. Ports given as 0 are chosen and written back to
// the connection file.
func (k *Kernel) bind() (err error) {
	opt := socket.Options{Log: k.log}
	if k.conn.CurvePublicKey != "" {
		if opt.Keys, err = socket.ParseCurveKeys(k.conn.CurvePublicKey, k.conn.CurveSecretKey); err != nil {
			return fmt.Errorf("connection file %s: %w", k.cfg.ConnectionFile, err)
		}
	}
	rewrite := k.conn.HasOpenPorts()
	var opened []interface{ Close(time.Duration) }
	defer func() {
		if err != nil {
			for _, s := range opened {
				s.Close(0)
			}
		}
	}()
	// IOPub first: new shell connections wait for its subscriptions.
	for _, ch := range []wire.Channel{wire.IOPub, wire.Shell, wire.Stdin, wire.Control, wire.Heartbeat} {
		s, err := k.bindChannel(ch, opt)
		if err != nil {
			return k.explainBind(ch, err)
		}
		opened = append(opened, s)
		if tcp, ok := s.Addr().(*net.TCPAddr); ok {
			k.conn.Ports[ch] = tcp.Port
		}
	}
	if rewrite {
		return k.conn.WritePorts(k.cfg.ConnectionFile)
	}
	return nil
}

type boundSocket interface {
	Addr() net.Addr
	Close(time.Duration)
}

func (k *Kernel) bindChannel(ch wire.Channel, opt socket.Options) (boundSocket, error) {
	if k.conn.Transport == "ipc" && k.conn.Ports[ch] == 0 {
		return k.bindOpenIPC(ch, opt)
	}
	endpoint := k.conn.Endpoint(ch)
	var err error
	switch ch {
	case wire.Shell:
		opt.Settled = k.iopub.Settled
		k.shell, err = socket.ListenRouter(endpoint, opt, func(c *socket.Conn, f [][]byte) { k.receive(ch, c, f) })
		return k.shell, err
	case wire.Control:
		k.control, err = socket.ListenRouter(endpoint, opt, func(c *socket.Conn, f [][]byte) { k.receive(ch, c, f) })
		return k.control, err
	case wire.Stdin:
		k.stdin, err = socket.ListenRouter(endpoint, opt, k.receiveInput)
		return k.stdin, err
	case wire.IOPub:
		k.iopub, err = socket.ListenXPub(endpoint, opt, k.welcome)
		return k.iopub, err
	default:
		k.heartbeat, err = socket.ListenEcho(endpoint, opt)
		return k.heartbeat, err
	}
}

// bindOpenIPC looks for a number that no other kernel uses for this prefix.
func (k *Kernel) bindOpenIPC(ch wire.Channel, opt socket.Options) (boundSocket, error) {
	for port := 1; port < 1<<16; port++ {
		k.conn.Ports[ch] = port
		s, err := k.bindChannel(ch, opt)
		if !errors.Is(err, socket.ErrInUse) {
			return s, err
		}
	}
	return nil, errors.New("no free number for an ipc socket")
}

func (k *Kernel) explainBind(ch wire.Channel, err error) error {
	if errors.Is(err, socket.ErrInUse) {
		return fmt.Errorf("%s_port: %w by another process: start the kernel with another connection file, or with port 0 to have a free port chosen", ch, err)
	}
	return fmt.Errorf("%s socket: %w", ch, err)
}
