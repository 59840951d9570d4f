package bench

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"loris/internal/machine"
)

// Input names a tensor that the cases read, by its content.
type Input struct {
	Name  string `json:"name"`
	DType string `json:"dtype,omitempty"`
	Shape []int  `json:"shape"`
	Hash  string `json:"sha256"`
}

// HashValues returns the content hash of an input: SHA-256 over its shape and
// its elements as little-endian float64.
func HashValues(shape []int, values []float64) string {
	h := sha256.New()
	fmt.Fprintln(h, shape)
	b := make([]byte, 0, 8*1024)
	for i, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		if len(b) == cap(b) || i == len(values)-1 {
			h.Write(b) // never fails
			b = b[:0]
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Provenance says where, on what and with what a measurement was made. It is
// kept in the metadata of the output.
type Provenance struct {
	Started  string            `json:"started"` // RFC 3339, UTC
	Machine  machine.Facts     `json:"machine"`
	Device   string            `json:"device"`
	Kernels  map[string]string `json:"kernels,omitempty"`
	Load     machine.Load      `json:"load"`
	Noisy    bool              `json:"noisy"`
	Seeds    map[string]int64  `json:"seeds,omitempty"`
	Inputs   []Input           `json:"inputs,omitempty"`
	Settings Settings          `json:"settings"`
}

// Settings are the options that a measurement was made with.
type Settings struct {
	Warmup      int     `json:"warmup"`
	Samples     int     `json:"samples"`
	Interleave  bool    `json:"interleave"`
	Recycle     bool    `json:"recycle"`
	Verify      float64 `json:"verify"`
	MinSampleUS float64 `json:"min_sample_us"`
	Confidence  float64 `json:"confidence"`
	Interval    string  `json:"interval"` // "pairs" (PairedRatio) or "bootstrap"
	Resamples   int     `json:"resamples,omitempty"`
	Seed        uint64  `json:"seed"`
}

// watch remembers when a measurement began and how busy the machine was since.
type watch struct {
	started time.Time
	load    func() machine.Load
}

func startWatch() watch { return watch{time.Now(), machine.Watch()} }

func provenance(o Options, e Engine, w watch) Provenance {
	l := w.load()
	interval, drawn := "bootstrap", resamples
	if o.Interleave {
		interval, drawn = "pairs", 0
	}
	return Provenance{
		Started: w.started.UTC().Format(time.RFC3339), Machine: machine.Read(e.Device(), ""), Device: e.Device(),
		Load: l, Noisy: l.Noisy(), Seeds: o.Seeds, Inputs: o.Inputs,
		Settings: Settings{Warmup: o.Warmup, Samples: o.Samples, Interleave: o.Interleave, Recycle: o.Recycle, Verify: o.Verify,
			MinSampleUS: float64(o.MinSample) / 1e3, Confidence: o.Confidence, Interval: interval, Resamples: drawn, Seed: o.Seed},
	}
}
