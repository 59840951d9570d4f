package magic

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits bound a cell. Zero means no limit.
type Limits struct {
	Memory int64 // bytes
	Time   time.Duration
}

// String writes limits as %limit takes them.
func (l Limits) String() string {
	return l.text(formatBytes, "  ")
}

// Args writes limits so that ParseLimits reads the same.
func (l Limits) Args() string {
	exact := func(bytes int64) string { return strconv.FormatInt(bytes, 10) }
	return l.text(exact, " ")
}

func (l Limits) text(memory func(bytes int64) string, between string) string {
	mem, t := "off", "off"
	if l.Memory > 0 {
		mem = memory(l.Memory)
	}
	if l.Time > 0 {
		t = l.Time.String()
	}
	return "mem=" + mem + between + "time=" + t
}

func limit(_ context.Context, h Host, c Call) error {
	if c.Args != "" {
		l, err := ParseLimits(h.Limits(), c.Args)
		if err != nil {
			return err
		}
		if err := h.SetLimits(l); err != nil {
			return err
		}
	}
	h.Write("stdout", h.Limits().String()+"\n")
	return nil
}

// ParseLimits changes limits as the arguments of %limit say.
func ParseLimits(l Limits, args string) (Limits, error) {
	for _, a := range strings.Fields(args) {
		if a == "off" {
			l = Limits{}
			continue
		}
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return l, fail("%%limit does not understand %q: write mem=4G, time=10m or off", a)
		}
		var err error
		switch name {
		case "mem":
			l.Memory, err = parseSize(value)
		case "time":
			l.Time, err = parseDuration(value)
		default:
			err = fail("%%limit can limit mem and time, not %q", name)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

func parseDuration(s string) (time.Duration, error) {
	if s == "off" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fail("%q is not a duration: write 30s, 10m or 1h30m, or off", s)
	}
	return d, nil
}

// parseSize reads 512M, 4G, 1.5GiB or plain bytes. Units are powers of 1024.
func parseSize(s string) (int64, error) {
	if s == "off" {
		return 0, nil
	}
	number := strings.ToUpper(s)
	number = strings.TrimSuffix(strings.TrimSuffix(number, "B"), "I")
	scale := 1.0
	if number != "" {
		if i := strings.IndexByte("KMGT", number[len(number)-1]); i >= 0 {
			number = number[:len(number)-1]
			for range i + 1 {
				scale *= 1024
			}
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if bytes := f * scale; err == nil && bytes >= 1 && bytes < 1<<62 {
		return int64(bytes), nil
	}
	return 0, fail("%q is not an amount of memory: write 512M, 4G or off", s)
}

// formatDuration shows three digits that matter.
func formatDuration(d time.Duration) string {
	ns := float64(d.Nanoseconds())
	for _, u := range []struct {
		name  string
		scale float64
	}{{"ns", 1}, {"µs", 1e3}, {"ms", 1e6}} {
		if ns < u.scale*999.5 {
			return fmt.Sprintf("%.3g %s", ns/u.scale, u.name)
		}
	}
	if s := ns / 1e9; s < 60 {
		return fmt.Sprintf("%.3g s", s)
	}
	return d.Round(time.Second).String()
}
