package suites

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lt "loris/tensorlib"
)

// The test binary is also a peer: SUITES_TEST_PEER says of what kind.
func TestMain(m *testing.M) {
	if kind := os.Getenv("SUITES_TEST_PEER"); kind != "" {
		servePeer(kind)
		return
	}
	os.Exit(m.Run())
}

func servePeer(kind string) {
	if kind == "mute" {
		fmt.Fprintln(os.Stderr, "no library here")
		os.Exit(1)
	}
	fmt.Println(`{"peer": "fake", "version": "1.2", "works": {"sum": ["b", "a"]}}`)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var q struct {
			Work, Variant string
			MinUS         float64 `json:"min_us"`
		}
		switch err := json.Unmarshal(in.Bytes(), &q); {
		case err != nil || q.Work != "sum" || q.MinUS <= 0:
			fmt.Printf(`{"error": "bad request %s"}`+"\n", strings.ReplaceAll(in.Text(), `"`, "'"))
		case q.Variant == "b":
			fmt.Println(`{"error": "out of memory"}`)
		default:
			fmt.Println(`{"us": 12.5}`)
		}
		if kind == "mortal" {
			return
		}
	}
}

// Each suite runs for real, on few samples of its smallest row.
func TestSuitesGiveTheirRows(t *testing.T) {
	for _, c := range []struct {
		suite, only string
		keys        []string // of every row
	}{
		{"seed", "add_1024", []string{"name", "device", "lazy_us", "eager_us", "ratio", "ci95_low", "ci95_high", "max_rel_err"}},
		{"async", "add_1024", []string{"name", "eval_us", "async_wait_us", "ratio"}},
		{"cpu", "softmax", []string{"work", "us", "limit_share"}},
		{"interp", "trivial", []string{"name", "loris_us", "yaegi_us", "ratio"}},
	} {
		t.Run(c.suite, func(t *testing.T) {
			s, err := Find(c.suite)
			if err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			result, err := s.Run(t.Context(), Options{Samples: 3, Only: c.only, Log: &log})
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Rows) != 1 || !strings.Contains(log.String(), c.only) || !strings.Contains(result.String(), c.only) {
				t.Errorf("%d rows, log %q, table\n%s", len(result.Rows), log.String(), result)
			}
			path := filepath.Join(t.TempDir(), "below", "out.json")
			if err := result.WriteJSON(path); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var file struct {
				Provenance struct {
					Started string
					Device  string
					Machine struct{ Loris string }
				}
				Rows []map[string]any
			}
			if err := json.Unmarshal(b, &file); err != nil || file.Provenance.Started == "" || file.Provenance.Device == "" || file.Provenance.Machine.Loris == "" {
				t.Fatalf("%v\n%s", err, b)
			}
			for _, k := range c.keys {
				v, there := file.Rows[0][k]
				if n, isNumber := v.(float64); !there || isNumber && (n < 0 || n == 0 && k != "max_rel_err") || v == "" {
					t.Errorf("%s = %v (%v)", k, v, there)
				}
			}
		})
	}
}

func TestHeadlineAndAllCasesOfTheSeedAreThere(t *testing.T) {
	var names []string
	for _, c := range seedCases {
		names = append(names, c.name)
	}
	for _, want := range []string{"lora_fwd_4x16x512_r8", "chain6_32k"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %v", want, names)
		}
	}
	for _, want := range []string{"lora_fwd_4x16x512_r8", "lora_fwd_4x16x512_r8_eager"} {
		if !slices.ContainsFunc(works, func(w work) bool { return w.name == want }) {
			t.Errorf("the peers suite lacks %s", want)
		}
	}
}

// Every case computes what its float64 reference says, and a reference that says
// something else ends the suite: the numbers are not taken on trust.
func TestSeedCasesAgreeWithTheirReference(t *testing.T) {
	for _, c := range seedCases {
		ref := c.reference()
		c.reference = func() []float64 { return ref }
		if worst, err := c.worstError(); err != nil || worst > 1e-5 {
			t.Errorf("%s: off by %g, %v", c.name, worst, err)
		}
		wrong := c
		wrong.reference = func() []float64 {
			ref := slices.Clone(ref)
			ref[len(ref)/2] += 0.01 * slices.MaxFunc(ref, func(a, b float64) int {
				if math.Abs(a) < math.Abs(b) {
					return -1
				}
				return 1
			})
			return ref
		}
		if _, err := wrong.worstError(); err == nil || !strings.Contains(err.Error(), "float64 reference") {
			t.Errorf("%s: a wrong reference went through: %v", c.name, err)
		}
	}
}

func TestRelativeError(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		y, ref []float64
		want   float64
	}{
		{[]float64{1, 2}, []float64{1, 4}, 0.5},
		{[]float64{1, -4}, []float64{1, -4}, 0},
		{[]float64{1}, []float64{1, 2}, nan},
		{[]float64{nan, 2}, []float64{1, 2}, nan},
	} {
		if got := relativeError(c.y, c.ref); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%v against %v: got %v, want %v", c.y, c.ref, got, c.want)
		}
	}
}

func TestWhatCannotBeRunIsExplained(t *testing.T) {
	if _, err := Find("speed"); err == nil || !strings.Contains(err.Error(), "seed, async, cpu, ops, peers, interp") {
		t.Error(err)
	}
	if _, err := runSeed(t.Context(), Options{Device: "abacus"}); err == nil || !strings.Contains(err.Error(), "abacus") {
		t.Error(err)
	}
	t.Setenv("LORIS_PEERS", t.TempDir())
	if _, err := runPeers(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "make bench-peers") {
		t.Error(err)
	}
	if got := (&Result{}).String(); got != "no rows\n" {
		t.Errorf("%q", got)
	}
}

func TestContestTakesTurnsAndLeavesOutWhatFails(t *testing.T) {
	var turns, failures []string
	as := func(name string, failAt int) contestant {
		n := 0
		return contestant{name, func() (float64, error) {
			turns = append(turns, name)
			if n++; n == failAt {
				return 0, errors.New("broken")
			}
			return float64(n), nil
		}}
	}
	samples, err := contest(t.Context(), 3, []contestant{as("a", 0), as("b", 2), as("c", 0)},
		func(name string, err error) { failures = append(failures, fmt.Sprint(name, " ", err)) })
	if err != nil || fmt.Sprint(samples) != "[[1 2 3] [] [1 2 3]]" || strings.Join(turns, "") != "abcabcac" || fmt.Sprint(failures) != "[b broken]" {
		t.Errorf("%v: samples %v, turns %v, failures %v", err, samples, turns, failures)
	}
}

func TestOwnFailureEndsTheSuite(t *testing.T) {
	defer func(old []work) { works = old }(works)
	works = []work{{name: "broken", make: func() func() *lt.Tensor {
		return func() *lt.Tensor { return lt.Zeros(2).Add(lt.Zeros(3)) }
	}}}
	if _, err := runCPU(t.Context(), Options{Samples: 1}); err == nil || !strings.Contains(err.Error(), "broken: ") {
		t.Errorf("%v", err)
	}
}

// Each operation runs, once by name, and PyTorch's form of it is in the peers' script.
func TestOperationsHaveAPeer(t *testing.T) {
	script, err := os.ReadFile(filepath.Join("..", "..", "scripts", "peers", "ops_pytorch.py"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, w := range opWorks() {
		name, ok := strings.CutPrefix(w.name, "op_")
		if !ok || seen[name] {
			t.Errorf("%s is there twice, or not called op_", w.name)
		}
		seen[name] = true
		if !strings.Contains(string(script), fmt.Sprintf("        %q: ", strings.TrimPrefix(name, "grad_"))) {
			t.Errorf("the script has no %s", name)
		}
		if err := lt.Try(func() { w.make()().Eval().Release() }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPeersSpeakTheProtocol(t *testing.T) {
	t.Setenv("SUITES_TEST_PEER", "serve")
	p, err := startPeer(t.Context(), []string{os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if p.Name != "fake" || p.Version != "1.2" {
		t.Errorf("%+v", p)
	}
	list := p.contestants("sum")
	if len(list) != 2 || list[0].name != "fake/a" || len(p.contestants("unknown")) != 0 {
		t.Fatalf("%v", list)
	}
	if us, err := list[0].sample(); us != 12.5 || err != nil {
		t.Errorf("%v %v", us, err)
	}
	if _, err := list[1].sample(); err == nil || err.Error() != "out of memory" {
		t.Error(err)
	}

	t.Setenv("SUITES_TEST_PEER", "mortal")
	dying, err := startPeer(t.Context(), []string{os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer dying.close()
	dying.sample("sum", "a")
	if _, err := dying.sample("sum", "a"); err == nil {
		t.Error("a dead peer gave a time")
	}
	t.Setenv("SUITES_TEST_PEER", "mute")
	if _, err := startPeer(t.Context(), []string{os.Args[0]}); err == nil || !strings.Contains(err.Error(), "no library here") {
		t.Error(err)
	}
	if _, err := startPeer(t.Context(), []string{filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("started what is not there")
	}
}
