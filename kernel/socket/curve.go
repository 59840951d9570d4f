package socket

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-zeromq/zmq4"
	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/secretbox"
	//lint:ignore SA1019 CurveZMQ prescribes HSalsa20, and nacl/box.Precompute lacks a check
	"golang.org/x/crypto/salsa20/salsa"
)

type key32 = [32]byte

// CurveKeys is the long-term key pair of a CurveZMQ server.
type CurveKeys struct{ public, secret key32 }

// ParseCurveKeys reads a pair of Z85 keys and checks that they belong together:
// with a wrong public half every client would be refused in silence.
func ParseCurveKeys(public, secret string) (*CurveKeys, error) {
	k := new(CurveKeys)
	for _, half := range []struct {
		name, z85 string
		to        *key32
	}{{"curve_publickey", public, &k.public}, {"curve_secretkey", secret, &k.secret}} {
		b, err := DecodeZ85(half.z85)
		if err != nil || len(b) != len(half.to) {
			return nil, fmt.Errorf("%s: want 40 characters of Z85", half.name) // never show the value
		}
		copy(half.to[:], b)
	}
	if publicKey(&k.secret) != k.public {
		return nil, errors.New("curve_publickey does not belong to curve_secretkey")
	}
	return k, nil
}

func publicKey(secret *key32) (public key32) {
	b, err := curve25519.X25519(secret[:], curve25519.Basepoint)
	if err == nil {
		copy(public[:], b)
	}
	return public
}

// boxKey is the shared key of NaCl's box. Unlike box.Precompute it refuses
// low-order public keys, with which a peer could pass without knowing ours.
func boxKey(secret, public *key32) (*key32, error) {
	shared, err := curve25519.X25519(secret[:], public[:])
	if err != nil {
		return nil, err
	}
	k := new(key32)
	salsa.HSalsa20(k, new([16]byte), (*key32)(shared), &salsa.Sigma)
	return k, nil
}

// shortNonce is a 16 byte prefix with the counter of a command.
func shortNonce(prefix string, counter uint64) *[24]byte {
	var n [24]byte
	copy(n[:16], prefix)
	binary.BigEndian.PutUint64(n[16:], counter)
	return &n
}

// longNonce is an 8 byte prefix with 16 random bytes.
func longNonce(prefix string, random []byte) *[24]byte {
	var n [24]byte
	copy(n[:8], prefix)
	copy(n[8:], random)
	return &n
}

var errCurve = errors.New("CURVE handshake refused")

// curveServer is the server side of the CurveZMQ handshake (RFC 26), one value
// per connection. zmq4 carries the commands; the traffic after READY does not
// fit its Security interface (flags live inside the box), so that is curveSession's.
type curveServer struct {
	keys    *CurveKeys
	session *curveSession // set when the handshake has succeeded
}

func (*curveServer) Type() zmq4.SecurityType                    { return zmq4.CurveSecurity }
func (*curveServer) Encrypt(w io.Writer, d []byte) (int, error) { return w.Write(d) }
func (*curveServer) Decrypt(w io.Writer, d []byte) (int, error) { return w.Write(d) }

func (s *curveServer) Handshake(c *zmq4.Conn, server bool) error {
	clientTransient, helloKey, counter, err := s.hello(c)
	if err != nil {
		return err
	}
	transientSecret, cookie, err := s.welcome(c, helloKey)
	if err != nil {
		return err
	}
	connKey, counter, metadata, err := s.initiate(c, &clientTransient, transientSecret, cookie, counter)
	if err != nil {
		return err
	}
	if err := setPeerMetadata(c, metadata); err != nil {
		return err
	}
	own, err := c.Meta.MarshalZMTP()
	if err != nil {
		return err
	}
	ready := binary.BigEndian.AppendUint64(nil, 1)
	ready = secretbox.Seal(ready, own, shortNonce("CurveZMQREADY---", 1), connKey)
	s.session = &curveSession{key: connKey, sent: 1, received: counter, sendPrefix: "CurveZMQMESSAGES", receivePrefix: "CurveZMQMESSAGEC"}
	return c.SendCmd("READY", ready)
}

// hello: version (2), zeros (72), C' (32), counter (8), Box[64 zeros](C'→S) (80).
func (s *curveServer) hello(c *zmq4.Conn) (clientTransient key32, key *key32, counter uint64, err error) {
	b, err := receiveCommand(c, "HELLO", 194, 194)
	if err != nil {
		return clientTransient, nil, 0, err
	}
	if b[0] != 1 || b[1] != 0 {
		return clientTransient, nil, 0, errCurve
	}
	clientTransient = key32(b[74:106])
	counter = binary.BigEndian.Uint64(b[106:])
	key, err = boxKey(&s.keys.secret, &clientTransient)
	if err != nil {
		return clientTransient, nil, 0, errCurve
	}
	zeros, ok := secretbox.Open(nil, b[114:], shortNonce("CurveZMQHELLO---", counter), key)
	if !ok || subtle.ConstantTimeCompare(zeros, make([]byte, 64)) != 1 {
		return clientTransient, nil, 0, errCurve // the client has another server key
	}
	return clientTransient, key, counter, nil
}

// welcome: nonce (16), Box[S' (32) + cookie (96)](S→C'). The cookie is opaque to
// the client; our state lives in this goroutine, so random bytes that must come
// back do.
func (s *curveServer) welcome(c *zmq4.Conn, key *key32) (transientSecret *key32, cookie [96]byte, err error) {
	transientSecret = new(key32)
	var nonce [16]byte
	rand.Read(transientSecret[:])
	rand.Read(cookie[:])
	rand.Read(nonce[:])
	transient := publicKey(transientSecret)
	plain := append(transient[:], cookie[:]...)
	body := secretbox.Seal(nonce[:], plain, longNonce("WELCOME-", nonce[:]), key)
	return transientSecret, cookie, c.SendCmd("WELCOME", body)
}

// initiate: cookie (96), counter (8), Box[C (32) + vouch nonce (16) + vouch (80) +
// metadata](C'→S'), vouch = Box[C' + S](C→S'). Any client key C is accepted:
// knowing S, which stands in the connection file, is the ticket.
func (s *curveServer) initiate(c *zmq4.Conn, clientTransient, transientSecret *key32, cookie [96]byte, counter uint64) (key *key32, newCounter uint64, metadata []byte, err error) {
	b, err := receiveCommand(c, "INITIATE", 96+8+16+128, handshakeFrame)
	if err != nil {
		return nil, 0, nil, err
	}
	if subtle.ConstantTimeCompare(b[:96], cookie[:]) != 1 {
		return nil, 0, nil, errCurve
	}
	newCounter = binary.BigEndian.Uint64(b[96:])
	key, err = boxKey(transientSecret, clientTransient)
	if err != nil || newCounter <= counter {
		return nil, 0, nil, errCurve
	}
	plain, ok := secretbox.Open(nil, b[104:], shortNonce("CurveZMQINITIATE", newCounter), key)
	if !ok {
		return nil, 0, nil, errCurve
	}
	client := key32(plain[:32])
	vouchKey, err := boxKey(transientSecret, &client)
	if err != nil {
		return nil, 0, nil, errCurve
	}
	vouch, ok := secretbox.Open(nil, plain[48:128], longNonce("VOUCH---", plain[32:48]), vouchKey)
	if !ok || key32(vouch[:32]) != *clientTransient || key32(vouch[32:]) != s.keys.public {
		return nil, 0, nil, errCurve
	}
	return key, newCounter, plain[128:], nil
}

func receiveCommand(c *zmq4.Conn, name string, shortest, longest int) ([]byte, error) {
	cmd, err := c.RecvCmd()
	if err != nil {
		return nil, err
	}
	if cmd.Name != name || len(cmd.Body) < shortest || len(cmd.Body) > longest {
		return nil, errCurve
	}
	return cmd.Body, nil
}
