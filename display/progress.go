package display

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Live is an output that changes while a cell runs. It sends at most one
// update per Every, and always the last state; what it showed last stays in the
// notebook.
type Live struct {
	// Every is the least time between updates; 0 means 100 ms.
	Every time.Duration

	mu      sync.Mutex
	id      string
	last    time.Time
	pending any
	timer   *time.Timer
	closed  bool
	now     func() time.Time
}

// NewLive returns an output that appears with the first Set.
func NewLive() *Live { return &Live{now: time.Now} }

// Set shows v in place of what was shown before, now or when the time for the
// next update has come. The value is rendered at that time, so it must be safe
// to read then; [Set] of a new value each time is.
func (l *Live) Set(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.pending = v
	if l.timer != nil {
		return // the coming update will show it
	}
	every := l.Every
	if every <= 0 {
		every = 100 * time.Millisecond
	}
	if wait := every - l.now().Sub(l.last); l.id != "" && wait > 0 {
		l.timer = time.AfterFunc(wait, l.tick)
		return
	}
	l.send()
}

func (l *Live) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	if !l.closed {
		l.send()
	}
}

// send needs l.mu.
func (l *Live) send() {
	if l.pending == nil {
		return
	}
	v := l.pending
	l.pending = nil
	l.last = l.now()
	if l.id == "" {
		l.id = newDisplayID()
		ShowID(v, l.id)
		return
	}
	Update(v, l.id)
}

// Close shows v, the final state, and ignores everything after it; nil keeps
// the last state set.
func (l *Live) Close(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if v != nil {
		l.pending = v
	}
	l.send()
	l.closed = true
}

var (
	processMark    = newProcessMark()
	displayCounter atomic.Int64
)

// newProcessMark tells this process's displays from those of an earlier one
// that a front end still holds. Display ids are never saved in a notebook, so
// this leaves outputs reproducible.
func newProcessMark() string {
	b := make([]byte, 6)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func newDisplayID() string {
	return fmt.Sprintf("loris-%s-%d", processMark, displayCounter.Add(1))
}

// Progress is a bar with a count, a rate and the time left. It is safe for
// concurrent use.
//
//	p := display.NewProgress("training", 300)
//	for range 300 {
//		p.Note("loss 0.12")
//		p.Add(1)
//	}
//	p.Done()
type Progress struct {
	live *Live

	mu          sync.Mutex
	label, unit string
	note        string
	total, done int
	start       time.Time
	now         func() time.Time
	rate        float64 // units per second, smoothed
	rateAt      time.Time
	rateDone    int
	attached    Part
	err         string
}

// NewProgress shows a bar for total steps; with total 0 only count and rate
// are shown.
func NewProgress(label string, total int) *Progress {
	p := &Progress{live: NewLive(), label: label, unit: "it", total: total, now: time.Now}
	p.start = p.now()
	p.rateAt = p.start
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(false)
	return p
}

// Unit names what is counted, for the rate; "it" by default.
func (p *Progress) Unit(s string) *Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unit = s
	return p
}

// Add advances by n steps.
func (p *Progress) Add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(p.done + n)
}

// Set moves to step n.
func (p *Progress) Set(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(n)
}

// Note sets the text behind the bar, such as a loss; it shows with the next
// step.
func (p *Progress) Note(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note = s
}

// Attach shows a part below the bar, such as a curve that grows; each call
// replaces the one before. It shows with the next step.
func (p *Progress) Attach(part Part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attached = part
}

// Done ends the display with its final state, which stays in the notebook.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(true)
}

// Fail ends the display in red with the reason.
func (p *Progress) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = err.Error()
	}
	p.show(true)
}

// set needs p.mu.
func (p *Progress) set(n int) {
	p.done = n
	now := p.now()
	// A rate over less than 50 ms is noise.
	if dt := now.Sub(p.rateAt).Seconds(); dt >= 0.05 {
		rate := float64(p.done-p.rateDone) / dt
		if p.rate == 0 {
			p.rate = rate
		} else {
			// Forget with a time constant of about 3 s.
			weight := dt / (dt + 3)
			p.rate += weight * (rate - p.rate)
		}
		p.rateAt, p.rateDone = now, p.done
	}
	p.show(false)
}

// show needs p.mu.
func (p *Progress) show(final bool) {
	s := &progressState{label: p.label, unit: p.unit, note: p.note, err: p.err, total: p.total, done: p.done,
		elapsed: p.now().Sub(p.start), rate: p.rate, final: final, attached: p.attached}
	if final && s.elapsed > 0 {
		s.rate = float64(p.done) / s.elapsed.Seconds()
	}
	if final {
		p.live.Close(s)
	} else {
		p.live.Set(s)
	}
}

// progressState is a bar at one moment.
type progressState struct {
	label, unit, note, err string
	total, done            int
	elapsed                time.Duration
	rate                   float64
	final                  bool
	attached               Part
}

const progressCSS = `.loris .l-pr{display:flex;flex-wrap:wrap;gap:2px 12px;align-items:center;font-variant-numeric:tabular-nums;margin:2px 0}` +
	`.loris .l-pr .t{flex:0 1 260px;min-width:120px;height:9px;border-radius:5px;background:var(--l-soft);overflow:hidden;border:1px solid var(--l-line)}` +
	`.loris .l-pr .f{height:100%;border-radius:5px 0 0 5px}.loris .l-pr .d{color:var(--l-dim)}`

// MIME implements [Rich]. Times are measurements; what must come out the same
// in a replay is how far it got.
func (s *progressState) MIME() map[string]any {
	m := render(s)
	r := Result{Measured: map[string]any{"seconds": s.elapsed.Seconds(), "rate": s.rate}}
	if s.final {
		r.Values = map[string]any{"done": s.done, "total": s.total}
	}
	m[MIMEResult] = r.JSON()
	return m
}

func (s *progressState) fraction() float64 {
	if s.total <= 0 {
		return 0
	}
	return min(max(float64(s.done)/float64(s.total), 0), 1)
}

// figures are the count, percentage, rate and times.
func (s *progressState) figures() string {
	parts := []string{group(fmt.Sprint(s.done))}
	if s.total > 0 {
		parts[0] += "/" + group(fmt.Sprint(s.total))
		parts = append(parts, fmt.Sprintf("%.0f %%", 100*s.fraction()))
	}
	if s.rate > 0 {
		if s.rate >= 1 {
			parts = append(parts, Number(s.rate, 3)+" "+s.unit+"/s")
		} else {
			parts = append(parts, Number(1/s.rate, 3)+" s/"+s.unit)
		}
	}
	switch {
	case s.final:
		parts = append(parts, "took "+FormatDuration(s.elapsed))
	case s.total > s.done && s.rate > 0:
		left := time.Duration(float64(s.total-s.done) / s.rate * float64(time.Second))
		parts = append(parts, "ETA "+clock(left))
	default:
		parts = append(parts, clock(s.elapsed))
	}
	return strings.Join(parts, " · ")
}

// HTML implements [Part].
func (s *progressState) HTML() string {
	colour := "var(--l-0)"
	if s.final {
		colour = "var(--l-2)"
	}
	if s.err != "" {
		colour = "var(--l-3)"
	}
	out := `<div class="l-pr">`
	if s.label != "" {
		out += `<span>` + escape(s.label) + `</span>`
	}
	if s.total > 0 {
		out += fmt.Sprintf(`<div class="t" role="progressbar" aria-valuemin="0" aria-valuemax="%d" aria-valuenow="%d"><div class="f" style="width:%.1f%%;background:%s"></div></div>`,
			s.total, s.done, 100*s.fraction(), colour)
	}
	out += `<span class="d">` + escape(s.figures()) + `</span>`
	if s.note != "" {
		out += `<span>` + escape(s.note) + `</span>`
	}
	if s.err != "" {
		out += `<span style="color:var(--l-3)">` + escape(s.err) + `</span>`
	}
	out += `</div>`
	if s.attached != nil {
		out += s.attached.HTML()
	}
	return out
}

// Text implements [Part].
func (s *progressState) Text() string {
	var parts []string
	if s.label != "" {
		parts = append(parts, s.label)
	}
	if s.total > 0 {
		n := int(s.fraction() * 24)
		parts = append(parts, strings.Repeat("█", n)+strings.Repeat("░", 24-n))
	}
	parts = append(parts, s.figures())
	for _, extra := range []string{s.note, s.err} {
		if extra != "" {
			parts = append(parts, extra)
		}
	}
	text := strings.Join(parts, "  ")
	if s.attached != nil {
		text += "\n" + s.attached.Text()
	}
	return text
}
