package wire

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
)

// Hash functions a connection file may name after "hmac-", spelled as Python's
// hashlib spells them.
var hashes = map[string]func() hash.Hash{
	"md5":      md5.New,
	"sha1":     sha1.New,
	"sha224":   sha256.New224,
	"sha256":   sha256.New,
	"sha384":   sha512.New384,
	"sha512":   sha512.New,
	"sha3_256": func() hash.Hash { return sha3.New256() },
	"sha3_512": func() hash.Hash { return sha3.New512() },
}

// Signer makes and checks the HMAC of the four parts of a message.
type Signer struct {
	key  []byte
	pool sync.Pool // of hash.Hash, keyed
}

// NewSigner takes the key and signature_scheme of a connection file. An empty
// key switches signing off, as the protocol says.
func NewSigner(scheme, key string) (*Signer, error) {
	if scheme == "" {
		scheme = "hmac-sha256"
	}
	name, isHMAC := strings.CutPrefix(scheme, "hmac-")
	newHash := hashes[name]
	if !isHMAC || newHash == nil {
		return nil, fmt.Errorf("signature_scheme %q is not supported: use one of %s", scheme, supportedSchemes())
	}
	s := &Signer{key: []byte(key)}
	s.pool.New = func() any { return hmac.New(newHash, s.key) }
	return s, nil
}

func supportedSchemes() string {
	var names []string
	for n := range hashes {
		names = append(names, "hmac-"+n)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Sign returns the hexadecimal signature of the parts, empty without a key.
func (s *Signer) Sign(parts [][]byte) []byte {
	if len(s.key) == 0 {
		return []byte{}
	}
	mac := s.pool.Get().(hash.Hash)
	defer s.pool.Put(mac)
	mac.Reset()
	for _, p := range parts {
		mac.Write(p)
	}
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// Verify reports whether the signature is that of the parts, in constant time.
func (s *Signer) Verify(signature []byte, parts [][]byte) bool {
	return len(s.key) == 0 || hmac.Equal(signature, s.Sign(parts))
}

// replayGuard remembers the newest signatures, so that a recorded message
// cannot be sent again.
type replayGuard struct {
	mu   sync.Mutex
	set  map[string]struct{}
	ring []string
	next int
}

func newReplayGuard(n int) *replayGuard {
	return &replayGuard{set: map[string]struct{}{}, ring: make([]string, n)}
}

func (g *replayGuard) seen(signature string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, dup := g.set[signature]; dup {
		return true
	}
	delete(g.set, g.ring[g.next])
	g.set[signature] = struct{}{}
	g.ring[g.next] = signature
	g.next = (g.next + 1) % len(g.ring)
	return false
}
