package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pipeLinks(t testing.TB) (*link, *link) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return newLink(a), newLink(b)
}

func TestPacketsSurviveTheWay(t *testing.T) {
	a, b := pipeLinks(t)
	for _, p := range []packet{
		{kind: kindReady},
		{kind: kindOutput, id: 1 << 60, cell: "c", name: "display_data", meta: []byte("{}"), body: []byte("{}"), buffers: [][]byte{{}, {1}, make([]byte, 100_000)}},
		{kind: kindReply, body: bytes.Repeat([]byte("big "), 10<<20)},
	} {
		go a.write(p)
		got, err := b.read()
		if err != nil {
			t.Fatal(err)
		}
		normal := func(p packet) []any {
			return []any{p.kind, p.id, p.cell, p.name, string(p.meta), string(p.body), len(p.buffers)}
		}
		if diff := cmp.Diff(normal(p), normal(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDamagedPacketsAreRefused(t *testing.T) {
	header := func(total uint64, k byte, parts uint32, sizes ...uint64) []byte {
		b := binary.BigEndian.AppendUint64(nil, total)
		b = binary.BigEndian.AppendUint64(append(b, k), 1)
		b = binary.BigEndian.AppendUint32(b, parts)
		for _, s := range sizes {
			b = binary.BigEndian.AppendUint64(b, s)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"text":                   []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"kind 0":                 header(45, 0, 4, 0, 0, 0, 0),
		"unknown kind":           header(45, 200, 4, 0, 0, 0, 0),
		"too few parts":          header(13, 1, 0),
		"too many parts":         header(1<<31, 1, 1<<31),
		"too large":              header(1<<60, 1, 4, 1<<59, 0, 0, 0),
		"part beyond the packet": header(45, 1, 4, 1<<40, 0, 0, 0),
		"bytes left over":        append(header(50, 1, 4, 0, 0, 0, 0), "12345"...),
	} {
		if _, err := readPacket(bytes.NewReader(b)); !errors.Is(err, errPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadPacket(f *testing.F) {
	var b bytes.Buffer
	b.Write(binary.BigEndian.AppendUint64(nil, 13+32+1))
	b.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4})
	b.Write(append(make([]byte, 31), 1, 'x'))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		readPacket(bytes.NewReader(b)) // neither a panic nor memory beyond the input
	})
}

func FuzzRawOutput(f *testing.F) {
	f.Add([]byte("fine\npanic: boom\n\ngoroutine 1 [running]:\n"), 3)
	f.Add([]byte("é漢😀"), 1)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		var got strings.Builder
		r := &rawOutput{name: "stderr", emit: func(_, text string) { got.WriteString(text) }, alive: func() bool { return false }}
		if step < 1 {
			step = 1
		}
		for rest := b; len(rest) > 0; {
			n := min(step, len(rest))
			r.take(rest[:n])
			rest = rest[n:]
		}
		if r.timer != nil {
			r.timer.Stop()
		}
		if len(r.trace) < maxTrace && got.String()+string(r.partial)+string(r.trace) != string(b) {
			t.Fatalf("%q became %q + %q + %q", b, got.String(), r.partial, r.trace)
		}
	})
}

func BenchmarkLink(b *testing.B) {
	for _, size := range []int{100, 1 << 20, 50 << 20} {
		b.Run(byteSize(size), func(b *testing.B) {
			x, y := pipeLinks(b)
			p := packet{kind: kindOutput, cell: "cell", name: "stream", body: make([]byte, size)}
			b.SetBytes(int64(size))
			go func() {
				for x.write(p) == nil {
				}
			}()
			for b.Loop() {
				if _, err := y.read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func byteSize(n int) string {
	if n < 1<<20 {
		return "100B"
	}
	return map[int]string{1 << 20: "1MB", 50 << 20: "50MB"}[n]
}
