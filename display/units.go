package display

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Bytes is a size in memory; it prints in binary units (KiB, MiB, …).
type Bytes int64

func (b Bytes) String() string {
	f, sign := float64(b), ""
	if f < 0 {
		f, sign = -f, "-"
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	for f >= 1023.5 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return sign + Number(f, 3) + " " + units[i]
}

// FormatDuration prints a measured time with three significant digits and the
// unit that fits: ns, µs, ms, s; from a minute on as m:ss or h:mm:ss.
func FormatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + FormatDuration(-d)
	}
	switch {
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + " ns"
	case d < 999500*time.Nanosecond:
		return significant(float64(d)/1e3) + " µs"
	case d < 999500*time.Microsecond:
		return significant(float64(d)/1e6) + " ms"
	case d < 59950*time.Millisecond:
		return significant(d.Seconds()) + " s"
	}
	return clock(d)
}

// significant prints three significant digits, zeros kept.
func significant(f float64) string {
	decimals := 2
	if f >= 99.95 {
		decimals = 0
	} else if f >= 9.995 {
		decimals = 1
	}
	return strconv.FormatFloat(f, 'f', decimals, 64)
}

// clock prints m:ss or h:mm:ss.
func clock(d time.Duration) string {
	s := int64(math.Round(d.Seconds()))
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
