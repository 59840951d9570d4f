package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Channel names one of the five sockets of a kernel.
type Channel string

// The five channels, spelled as in the connection file's "<channel>_port".
const (
	Shell     Channel = "shell"
	IOPub     Channel = "iopub"
	Stdin     Channel = "stdin"
	Control   Channel = "control"
	Heartbeat Channel = "hb"
)

// Channels lists all channels in the order in which a kernel binds them.
var Channels = []Channel{Shell, IOPub, Stdin, Control, Heartbeat}

// Connection is the content of a connection file.
type Connection struct {
	Transport       string
	IP              string
	Ports           map[Channel]int
	Key             string
	SignatureScheme string
	CurvePublicKey  string // 40 characters of Z85; empty: no encryption
	CurveSecretKey  string

	fields map[string]json.RawMessage // everything in the file, kept by WritePorts
}

const maxConnectionFile = 1 << 20

// ReadConnection reads and checks a connection file.
func ReadConnection(path string) (*Connection, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("connection file: %w", err)
	}
	if st.Size() > maxConnectionFile {
		return nil, fmt.Errorf("connection file %s: %d bytes is too large to be one", path, st.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("connection file: %w", err)
	}
	c, err := ParseConnection(b)
	if err != nil {
		return nil, fmt.Errorf("connection file %s: %w", path, err)
	}
	return c, nil
}

// ParseConnection parses the JSON of a connection file. Ports may be 0 (choose
// one) and are then filled in by WritePorts.
func ParseConnection(b []byte) (*Connection, error) {
	c := &Connection{Ports: map[Channel]int{}}
	if err := json.Unmarshal(b, &c.fields); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if c.fields == nil {
		return nil, errors.New("not a JSON object: null")
	}
	for name, to := range map[string]*string{
		"transport": &c.Transport, "ip": &c.IP, "key": &c.Key, "signature_scheme": &c.SignatureScheme,
		"curve_publickey": &c.CurvePublicKey, "curve_secretkey": &c.CurveSecretKey,
	} {
		if err := c.field(name, to); err != nil {
			return nil, err
		}
	}
	for _, ch := range Channels {
		var port int
		if err := c.field(string(ch)+"_port", &port); err != nil {
			return nil, err
		}
		c.Ports[ch] = port
	}
	return c, c.check()
}

func (c *Connection) field(name string, to any) error {
	raw, ok := c.fields[name]
	if !ok || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("field %q: want %s", name, map[bool]string{true: "a number", false: "a string"}[strings.HasSuffix(name, "_port")])
	}
	return nil
}

func (c *Connection) check() error {
	if c.Transport == "" {
		c.Transport = "tcp"
	}
	if c.Transport != "tcp" && c.Transport != "ipc" {
		return fmt.Errorf("transport %q is not supported: use tcp or ipc", c.Transport)
	}
	if c.IP == "" {
		if c.Transport == "ipc" {
			return errors.New(`transport ipc needs "ip", the path prefix of its socket files`)
		}
		c.IP = "127.0.0.1"
	}
	for _, ch := range Channels {
		if p := c.Ports[ch]; p < 0 || p > 65535 {
			return fmt.Errorf("%s_port %d is not a port number", ch, p)
		}
	}
	for i, a := range Channels {
		for _, b := range Channels[i+1:] {
			if p := c.Ports[a]; p != 0 && p == c.Ports[b] {
				return fmt.Errorf("%s_port and %s_port are both %d", a, b, p)
			}
		}
	}
	if (c.CurvePublicKey == "") != (c.CurveSecretKey == "") {
		return errors.New("only one of curve_publickey and curve_secretkey is given: both are needed to encrypt, and speaking unencrypted instead would not be safe")
	}
	return nil
}

// Endpoint is where a channel listens: tcp://host:port or ipc://path-port.
func (c *Connection) Endpoint(ch Channel) string {
	if c.Transport == "ipc" {
		return "ipc://" + c.IP + "-" + strconv.Itoa(c.Ports[ch])
	}
	return "tcp://" + net.JoinHostPort(c.IP, strconv.Itoa(c.Ports[ch]))
}

// HasOpenPorts reports whether some port is still to be chosen.
func (c *Connection) HasOpenPorts() bool {
	return slices.ContainsFunc(Channels, func(ch Channel) bool { return c.Ports[ch] == 0 })
}

// WritePorts rewrites the connection file with the ports as they are now. Other
// fields stay as they were, and readers see the old file or the new, never half.
func (c *Connection) WritePorts(path string) error {
	for _, ch := range Channels {
		c.fields[string(ch)+"_port"] = json.RawMessage(strconv.Itoa(c.Ports[ch]))
	}
	for name, value := range map[string]string{"ip": c.IP, "transport": c.Transport} {
		c.fields[name], _ = json.Marshal(value)
	}
	b, err := json.MarshalIndent(c.fields, "", "  ")
	if err != nil {
		return fmt.Errorf("connection file: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".connection-*")
	if err != nil {
		return fmt.Errorf("rewrite connection file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil { // CreateTemp made it 0600: the key inside is a secret
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("rewrite connection file: %w", err)
	}
	return nil
}

// NewConnection returns a loopback connection with the given key and all ports
// open, for a caller that starts a kernel itself.
func NewConnection(transport, ip, key string) *Connection {
	return &Connection{
		Transport: transport, IP: ip, Key: key, SignatureScheme: "hmac-sha256", Ports: map[Channel]int{},
		fields: map[string]json.RawMessage{
			"key":              json.RawMessage(strconv.Quote(key)),
			"signature_scheme": json.RawMessage(`"hmac-sha256"`),
		},
	}
}
