package eval

import (
	"fmt"
	"strings"
	"sync/atomic"

	"loris/internal/ir"
	"loris/internal/plan"
)

// settings are what evaluations run with.
type settings struct {
	device    plan.Device
	precision plan.Precision
}

var current atomic.Pointer[settings]

// options returns the device and precision of new evaluations.
func options() (plan.Options, error) {
	s := current.Load()
	if s == nil || s.device == nil {
		ds := plan.Registered()
		if len(ds) == 0 {
			return plan.Options{}, &ir.Error{Code: ir.CodeDevice, Msg: "no device is linked into this program",
				Hint: `import _ "loris/internal/cpu"`}
		}
		next := &settings{device: ds[0]}
		if s != nil {
			next.precision = s.precision
		}
		current.CompareAndSwap(s, next)
		s = next
	}
	return plan.Options{Device: s.device, Precision: s.precision}, nil
}

// DeviceInfo describes a device.
type DeviceInfo struct {
	Name    string
	Default bool
	Memory  plan.MemoryInfo
}

// Devices lists the devices of this process.
func Devices() []DeviceInfo {
	opt, _ := options()
	var out []DeviceInfo
	for _, d := range plan.Registered() {
		out = append(out, DeviceInfo{d.Name(), d == opt.Device, d.Memory()})
	}
	return out
}

// Use makes a device the one that evaluations run on.
func Use(name string) error {
	var names []string
	for _, d := range plan.Registered() {
		if d.Name() == name {
			update(func(s *settings) { s.device = d })
			return nil
		}
		names = append(names, d.Name())
	}
	return &ir.Error{Code: ir.CodeDevice, Op: "Use", Msg: fmt.Sprintf("no device %q here", name),
		Hint: "use one of: " + strings.Join(names, ", ")}
}

// SetPrecision chooses how exact float32 products are: "highest", "high" or "medium".
func SetPrecision(name string) error {
	p, ok := plan.ParsePrecision(name)
	if !ok {
		return &ir.Error{Code: ir.CodeValue, Op: "SetPrecision", Msg: fmt.Sprintf("unknown precision %q", name),
			Hint: "use highest, high or medium"}
	}
	update(func(s *settings) { s.precision = p })
	return nil
}

// Precision returns the name of the current precision.
func Precision() string {
	opt, _ := options()
	return opt.Precision.String()
}

func update(f func(*settings)) {
	for {
		old := current.Load()
		next := settings{}
		if old != nil {
			next = *old
		}
		f(&next)
		if current.CompareAndSwap(old, &next) {
			return
		}
	}
}

// SetLimit bounds the device memory in bytes; 0 lifts the bound. Evaluations
// that need more fail with an error that names what wanted it.
func SetLimit(bytes int64) {
	for _, d := range plan.Registered() {
		d.SetLimit(max(bytes, 0))
	}
}
