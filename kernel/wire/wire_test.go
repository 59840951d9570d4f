package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func session(t testing.TB, key string) *Session {
	t.Helper()
	s, err := NewSigner("hmac-sha256", key)
	if err != nil {
		t.Fatal(err)
	}
	return NewSession(s, "ada")
}

func TestMessagesSurviveTheWay(t *testing.T) {
	sender, receiver := session(t, "key"), session(t, "key")
	parent := []byte(`{"msg_id": "p",  "unknown":[1, 2]}`)
	content := []byte(`{"code":"x < y && \"é\"" }`)
	h := sender.NewHeader("execute_request")
	frames, err := sender.Encode([][]byte{[]byte("id1"), []byte("id2")}, h, parent, nil, content, [][]byte{{1, 2}, {}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := receiver.Decode(frames)
	if err != nil {
		t.Fatal(err)
	}
	if m.Header != h || !bytes.Equal(m.Parent, parent) || !bytes.Equal(m.Content, content) || string(m.Metadata) != "{}" || len(m.Identities) != 2 || len(m.Buffers) != 2 {
		t.Errorf("got %+v", m)
	}
	reply, err := receiver.Encode(nil, receiver.NewHeader("execute_reply"), m.RawHeader, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(reply[3], frames[4]) {
		t.Errorf("the parent header %s is not the request's header %s byte for byte", reply[3], frames[4])
	}
}

// The expected value is that of Python's hmac and of openssl dgst -sha256 -hmac.
func TestSignatureIsThatOfOtherImplementations(t *testing.T) {
	s, err := NewSigner("", "key")
	if err != nil {
		t.Fatal(err)
	}
	got := s.Sign([][]byte{[]byte("The quick brown fox "), []byte("jumps over"), []byte(" the lazy"), []byte(" dog")})
	if want := "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBadMessagesAreRefusedForTheRightReason(t *testing.T) {
	good := func(s *Session) [][]byte {
		f, err := s.Encode(nil, s.NewHeader("x"), nil, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	sender := session(t, "key")
	replay := good(sender)
	change := func(i int, b string) [][]byte {
		f := good(sender)
		f[i] = []byte(b)
		return f
	}
	signed := func(parts ...string) [][]byte {
		var b [][]byte
		for _, p := range parts {
			b = append(b, []byte(p))
		}
		return append([][]byte{delimiter, sender.signer.Sign(b)}, b...)
	}
	receiver := session(t, "key")
	if _, err := receiver.Decode(replay); err != nil {
		t.Fatal(err)
	}
	header := `{"msg_id":"1","msg_type":"x"}`
	for name, c := range map[string]struct {
		frames [][]byte
		want   error
	}{
		"no frames":            {nil, ErrDelimiter},
		"no delimiter":         {[][]byte{[]byte("x"), {}}, ErrDelimiter},
		"delimiter alone":      {[][]byte{delimiter}, ErrTruncated},
		"one part missing":     {good(sender)[:5], ErrTruncated},
		"other key":            {good(session(t, "other")), ErrSignature},
		"no signature":         {change(1, ""), ErrSignature},
		"changed content":      {change(5, `{"a":1}`), ErrSignature},
		"upper-case signature": {change(1, strings.ToUpper(string(good(sender)[1]))), ErrSignature},
		"replay":               {replay, ErrReplayed},
		"header is no JSON":    {signed("{", "{}", "{}", "{}"), ErrHeader},
		"header is a list":     {signed("[]", "{}", "{}", "{}"), ErrHeader},
		"header is null":       {signed("null", "{}", "{}", "{}"), ErrHeader},
		"header lacks msg_id":  {signed(`{"msg_type":"x"}`, "{}", "{}", "{}"), ErrHeader},
		"msg_id is a number":   {signed(`{"msg_id":1,"msg_type":"x"}`, "{}", "{}", "{}"), ErrHeader},
		"content is a number":  {signed(header, "{}", "{}", "5"), ErrContent},
		"content is cut off":   {signed(header, "{}", "{}", `{"a":`), ErrContent},
		"metadata is a string": {signed(header, "{}", `"m"`, "{}"), ErrContent},
		"parent is null":       {signed(header, "null", "{}", "{}"), ErrContent},
	} {
		if _, err := receiver.Decode(c.frames); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestEmptyKeySwitchesSigningOff(t *testing.T) {
	s := session(t, "")
	f, err := s.Encode(nil, s.NewHeader("x"), nil, nil, nil, nil)
	if err != nil || len(f[1]) != 0 {
		t.Fatalf("signature %q, %v", f[1], err)
	}
	for range 2 { // no signature, nothing to tell a replay by
		if _, err := s.Decode(f); err != nil {
			t.Error(err)
		}
	}
}

func TestReplayGuardForgetsTheOldest(t *testing.T) {
	g := newReplayGuard(3)
	for i := range 10 {
		if g.seen(fmt.Sprint(i)) {
			t.Fatalf("%d was never seen", i)
		}
	}
	if !g.seen("9") || !g.seen("8") || g.seen("1") || len(g.set) > 4 {
		t.Errorf("guard holds %v", g.set)
	}
}

func TestDatesHaveMicrosecondsAndAZone(t *testing.T) {
	date := FormatDate(time.Date(2024, 5, 6, 7, 8, 9, 120_000_000, time.FixedZone("", 3600)))
	if date != "2024-05-06T06:08:09.120000Z" {
		t.Error(date)
	}
}

func TestAppendValueAgreesWithEncodingJSON(t *testing.T) {
	for _, v := range []any{
		nil, true, 5, int64(-7), 1.5, float32(0.1), 1e-7, 1e21, "", "plain", "\"\\\n\r\t\x00\x1f\x7f", "é漢😀\u2028",
		[]any{1, "a", nil, []any{}}, map[string]any{"b": 1, "a": map[string]any{}}, []string{"x", "y"}, []float64{1, 2.5},
		map[string]string{"k": "v"}, json.RawMessage(`{"raw":[1]}`), struct{ A int }{3}, []int{1, 2}, []map[string]any{{"a": 1}},
	} {
		got, err := AppendValue(nil, v)
		if err != nil {
			t.Errorf("%#v: %v", v, err)
			continue
		}
		std, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(got, &a); err != nil {
			t.Errorf("%#v: %s: %v", v, got, err)
		}
		json.Unmarshal(std, &b)
		if diff := cmp.Diff(b, a); diff != "" {
			t.Errorf("%#v: %s", v, diff)
		}
	}
}

func TestAppendValueHandlesWhatJSONLacks(t *testing.T) {
	got, err := AppendValue(nil, map[string]any{"nan": math.NaN(), "inf": []float64{math.Inf(1), math.Inf(-1)}, "bytes": []byte{0, 255}, "bad": "a\xffb", "html": "<b>&"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"bad":"a` + "\uFFFD" + `b","bytes":"AP8=","html":"<b>&","inf":["Infinity","-Infinity"],"nan":"NaN"}`
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, v := range []any{make(chan int), map[string]any{"deep": []any{func() {}}}, json.RawMessage("{"), struct{ X float64 }{math.NaN()}} {
		if _, err := AppendValue(nil, v); err == nil {
			t.Errorf("%T was encoded", v)
		}
	}
}

func TestConnectionFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"ip":"127.0.0.1","transport":"tcp","key":"k","signature_scheme":"hmac-sha256","shell_port":1,"iopub_port":0,"jupyter_session":"s"}`)
	c, err := ReadConnection(file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Endpoint(Shell) != "tcp://127.0.0.1:1" || !c.HasOpenPorts() {
		t.Errorf("%+v", c)
	}
	for i, ch := range Channels {
		c.Ports[ch] = 100 + i
	}
	if err := c.WritePorts(file); err != nil {
		t.Fatal(err)
	}
	again, err := ReadConnection(file)
	if err != nil || again.Ports[Heartbeat] != 104 || again.Key != "k" {
		t.Errorf("%+v %v", again, err)
	}
	if b, _ := os.ReadFile(file); !strings.Contains(string(b), `"jupyter_session": "s"`) {
		t.Errorf("a field was lost: %s", b)
	}
	c, err = ParseConnection([]byte(`{"transport":"ipc","ip":"/run/k","hb_port":5}`))
	if err != nil || c.Endpoint(Heartbeat) != "ipc:///run/k-5" {
		t.Errorf("%v %v", c, err)
	}
	c, err = ParseConnection([]byte(`{"ip":"::1","hb_port":5,"key":null}`))
	if err != nil || c.Endpoint(Heartbeat) != "tcp://[::1]:5" {
		t.Errorf("%v %v", c, err)
	}
	for text, want := range map[string]string{
		``: "JSON", `[]`: "JSON", `null`: "JSON", `{"shell_port":"x"}`: `"shell_port": want a number`, `{"ip":5}`: `"ip": want a string`,
		`{"shell_port":70000}`: "70000", `{"shell_port":-1}`: "-1", `{"shell_port":5,"hb_port":5}`: "both 5",
		`{"transport":"ipc"}`: "path prefix", `{"transport":"udp"}`: "tcp or ipc", `{"curve_publickey":"x"}`: "only one of",
	} {
		if _, err := ParseConnection([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := ReadConnection(filepath.Join(t.TempDir(), "missing.json")); err == nil || !strings.Contains(err.Error(), "missing.json") {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	s := session(f, "")
	frames, err := s.Encode([][]byte{[]byte("id")}, s.NewHeader("execute_request"), nil, nil, []byte(`{"code":"1"}`), [][]byte{{1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Join(frames, []byte{0x1e}))
	f.Add([]byte("<IDS|MSG>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := s.Decode(bytes.Split(b, []byte{0x1e}))
		if err != nil {
			return
		}
		again, err := s.Encode(m.Identities, m.Header, m.RawHeader, m.Metadata, m.Content, m.Buffers)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Decode(again); err != nil {
			t.Fatalf("what was decoded cannot be sent on: %v", err)
		}
	})
}

func FuzzConnection(f *testing.F) {
	f.Add([]byte(`{"ip":"127.0.0.1","transport":"tcp","key":"k","signature_scheme":"hmac-sha256","shell_port":1}`))
	f.Add([]byte(`{"transport":"ipc","ip":"/x","curve_publickey":"a","curve_secretkey":"b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConnection(b)
		if err != nil {
			return
		}
		for _, ch := range Channels {
			if e := c.Endpoint(ch); !strings.HasPrefix(e, "tcp://") && !strings.HasPrefix(e, "ipc://") {
				t.Fatal(e)
			}
		}
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\x00\xffé😀")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(AppendString(nil, s), &back); err != nil || back != strings.ToValidUTF8(s, "\uFFFD") {
			t.Fatalf("%q became %q: %v", s, back, err)
		}
	})
}

func BenchmarkAppendBigString(b *testing.B) {
	bundle := map[string]any{"text/plain": strings.Repeat("0123456789<&>\n", 50<<20/14)}
	b.SetBytes(50 << 20)
	for b.Loop() {
		if _, err := AppendValue(nil, bundle); err != nil {
			b.Fatal(err)
		}
	}
}
