package suites

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	lt "loris/tensorlib"
	"loris/tensorlib/bench"
)

// PeerRow compares a work with the fastest form of it that any peer has. Times are
// those of the fastest samples: on a machine that others use, medians tell how well
// threads bear to be disturbed, which is another question.
type PeerRow struct {
	Work     string  `json:"work"`
	OursUS   float64 `json:"ours_us"`
	BestPeer string  `json:"best_peer"`
	PeerUS   float64 `json:"peer_us"`
	Ratio    float64 `json:"ratio"` // peer/ours: above 1 means ours is faster
	// Shares of the machine's limit, 0 to 1; null where no limit is named.
	LimitShare     *float64 `json:"limit_share"`
	PeerLimitShare *float64 `json:"peer_limit_share"`
	// All peers' times in microseconds, by "library/form".
	Peers map[string]float64 `json:"peers"`
}

// Columns are the headings of the table.
func (PeerRow) Columns() []string {
	return []string{"work", "ours µs", "best peer", "its µs", "peer/ours", "share of limit", "peer's share"}
}

// Cells are the row's texts.
func (r PeerRow) Cells() []string {
	return []string{r.Work, number(r.OursUS), r.BestPeer, number(r.PeerUS), number(r.Ratio), shareText(r.LimitShare), shareText(r.PeerLimitShare)}
}

func runPeers(ctx context.Context, o Options) (*Result, error) {
	rows, provenance, err := besidePeers(ctx, o, works, o.samples(11))
	if err != nil {
		return nil, err
	}
	return &Result{Provenance: provenance, Rows: anyRows(rows)}, nil
}

// runOps compares single operations; the worst come first.
func runOps(ctx context.Context, o Options) (*Result, error) {
	rows, provenance, err := besidePeers(ctx, o, opWorks(), o.samples(5))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b PeerRow) int { return cmp.Compare(a.Ratio, b.Ratio) })
	return &Result{Provenance: provenance, Rows: anyRows(rows)}, nil
}

// besidePeers times works and what the peers have of them.
func besidePeers(ctx context.Context, o Options, works []work, rounds int) (rows []PeerRow, provenance bench.Provenance, err error) {
	peers, err := startPeers(ctx, o)
	if err != nil {
		return nil, provenance, err
	}
	defer func() {
		for _, p := range peers {
			p.close()
		}
	}()
	if provenance, err = observe(func() error { return nil }); err != nil {
		return nil, provenance, err
	}
	p := limitPool()
	defer p.Close()
	for _, w := range works {
		if !o.wants(w.name) {
			continue
		}
		list := []contestant{ours("loris", w.make()), limitOf(w, p)}
		for _, peer := range peers {
			list = append(list, peer.contestants(w.peerName())...)
		}
		list = append(list, gonumForms(w.peerName())...)
		samples, err := contest(ctx, rounds, list, func(name string, err error) { o.logf("%s: %s left out: %v", w.name, name, err) })
		if err != nil {
			return nil, provenance, err
		}
		if samples[0] == nil {
			return nil, provenance, fmt.Errorf("%s: our own run failed", w.name)
		}
		row := peerRow(w, list, samples)
		rows = append(rows, row)
		o.logf("%s: %s µs, best peer %s %s µs, ratio %.2f", row.Work, number(row.OursUS), row.BestPeer, number(row.PeerUS), row.Ratio)
	}
	return rows, provenance, nil
}

func anyRows(rows []PeerRow) (list []Row) {
	for _, r := range rows {
		list = append(list, r)
	}
	return list
}

func peerRow(w work, list []contestant, samples [][]float64) PeerRow {
	row := PeerRow{Work: w.name, OursUS: slices.Min(samples[0]), Peers: map[string]float64{}}
	best := 0
	for i := 2; i < len(list); i++ {
		if samples[i] == nil {
			continue
		}
		m := slices.Min(samples[i])
		row.Peers[list[i].name] = m
		if best == 0 || m < row.PeerUS {
			best, row.PeerUS = i, m
		}
	}
	limit := samples[1]
	if w.bound == unbounded {
		limit = nil
	}
	row.LimitShare = share(w.cost, samples[0], limit)
	if best > 0 {
		row.BestPeer = list[best].name
		row.Ratio = row.PeerUS / row.OursUS
		row.PeerLimitShare = share(w.cost, samples[best], limit)
	}
	return row
}

// peer is another library in a process of its own; scripts/peers/peer.py tells
// the protocol.
type peer struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	Name    string              `json:"peer"`
	Version string              `json:"version"`
	Works   map[string][]string `json:"works"`
}

// peerCommands are the peers that scripts/peers/setup.sh installs, by the
// folder that it installs to.
func peerCommands(dir, scripts string) [][]string {
	python, script := filepath.Join(dir, "venv", "bin", "python"), filepath.Join(scripts, "peer.py")
	return [][]string{
		{python, script, "numpy"},
		{python, script, "pytorch"},
		{python, script, "mlx"},
		{filepath.Join(dir, "candle-peer")},
	}
}

// startPeers starts whatever is installed and tells what is not.
func startPeers(ctx context.Context, o Options) (peers []*peer, err error) {
	dir := or(os.Getenv("LORIS_PEERS"), filepath.Join("build", "peers"))
	for _, argv := range peerCommands(dir, filepath.Join("scripts", "peers")) {
		p, err := startPeer(ctx, argv)
		if err != nil {
			o.logf("%s: left out: %v", strings.Join(argv, " "), err)
			continue
		}
		o.logf("%s %s", p.Name, p.Version)
		peers = append(peers, p)
	}
	if len(peers) == 0 {
		return nil, errors.New("no peer could be started: run this from the repository by `make bench-peers`, which installs them")
	}
	return peers, nil
}

func startPeer(ctx context.Context, argv []string) (*peer, error) {
	if _, err := os.Stat(argv[0]); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var problems strings.Builder
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{cmd: cmd, in: in, out: bufio.NewScanner(out)}
	if !p.out.Scan() || json.Unmarshal(p.out.Bytes(), p) != nil {
		p.close()
		return nil, fmt.Errorf("it did not introduce itself: %s", strings.TrimSpace(problems.String()))
	}
	return p, nil
}

func (p *peer) close() {
	p.in.Close()
	_ = p.cmd.Wait()
}

func (p *peer) contestants(work string) (list []contestant) {
	forms := slices.Clone(p.Works[work])
	slices.Sort(forms)
	for _, form := range forms {
		list = append(list, contestant{p.Name + "/" + form, func() (float64, error) { return p.sample(work, form) }})
	}
	return list
}

func (p *peer) sample(work, form string) (float64, error) {
	request, err := json.Marshal(map[string]any{"work": work, "variant": form,
		"min_us": minSample.Microseconds(), "warm_us": warmUp.Microseconds()})
	if err != nil {
		return 0, err
	}
	if _, err := p.in.Write(append(request, '\n')); err != nil {
		return 0, err
	}
	if !p.out.Scan() {
		return 0, errors.New("it ended")
	}
	var answer struct {
		US    float64 `json:"us"`
		Error string  `json:"error"`
	}
	if err := json.Unmarshal(p.out.Bytes(), &answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, errors.New(answer.Error)
	}
	return answer.US, nil
}

// gonumForms is gonum, the numerical library of Go, where it has the work.
func gonumForms(work string) []contestant {
	general := func(rows, cols int) blas32.General {
		data := make([]float32, 0, rows*cols)
		for _, v := range lt.NewRand(seed).Normal(rows, cols).Floats() {
			data = append(data, float32(v))
		}
		return blas32.General{Rows: rows, Cols: cols, Stride: cols, Data: data}
	}
	product := func(a, b, c blas32.General) func() {
		return func() { blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, a, b, 0, c) }
	}
	switch work {
	case "gemm_1024":
		return []contestant{timed("gonum/gemm", product(general(1024, 1024), general(1024, 1024), general(1024, 1024)))}
	case "gemv_2048":
		a := general(2048, 2048)
		x, y := blas32.Vector{N: 2048, Inc: 1, Data: general(1, 2048).Data}, blas32.Vector{N: 2048, Inc: 1, Data: make([]float32, 2048)}
		return []contestant{timed("gonum/gemv", func() { blas32.Gemv(blas.NoTrans, 1, a, x, 0, y) })}
	}
	return nil
}
