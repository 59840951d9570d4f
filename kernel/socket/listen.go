package socket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrInUse marks an endpoint that another process listens on.
var ErrInUse = errors.New("address already in use")

// maxSocketPath is what fits sockaddr_un on every Unix, macOS being the tightest.
const maxSocketPath = 103

// listen opens "tcp://host:port" or "ipc://path".
func listen(endpoint string) (net.Listener, error) {
	scheme, address, _ := strings.Cut(endpoint, "://")
	switch scheme {
	case "tcp":
		return listenTCP(address)
	case "ipc":
		return listenIPC(address)
	}
	return nil, fmt.Errorf("cannot listen on %q: use tcp://host:port or ipc://path", endpoint)
}

func listenTCP(address string) (net.Listener, error) {
	network := "tcp"
	if host, port, err := net.SplitHostPort(address); err == nil && (host == "*" || host == "0.0.0.0") {
		// Go would listen on IPv6 as well.
		network, address = "tcp4", "0.0.0.0:"+port
	}
	l, err := net.Listen(network, address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("tcp://%s: %w", address, ErrInUse)
	}
	return l, err
}

func listenIPC(path string) (net.Listener, error) {
	if strings.HasPrefix(path, "@") { // Linux abstract socket: there is no file
		return net.Listen("unix", path)
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("ipc://%s: the path has %d bytes, the system allows %d: use a shorter directory", path, len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes the socket file of a killed process, and nothing else.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	if st.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("ipc://%s: the file exists and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("ipc://%s: %w", path, ErrInUse)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("ipc://%s: %w", path, err)
	}
	return os.Remove(path)
}
