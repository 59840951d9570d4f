package metal

import (
	"errors"
	"sync"
	"unsafe"

	"loris/internal/ir"
	"loris/internal/op"
	"loris/internal/plan"
	"loris/metal/kernels"
	"loris/metal/mtl"

	_ "loris/internal/cpu" // registered before Metal: it runs what Metal lacks, and stays the default
)

// Device runs plans on the GPU. The GPU is opened when it is first needed.
type Device struct {
	options mtl.Options
	ahead   bool // see CompileAhead
	once    sync.Once
	gpu     *mtl.Device
	err     error

	viewing sync.Mutex
	views   map[plan.Memory]view // of memory of other devices
}

// New returns a device that opens the GPU with these options.
func New(o mtl.Options) *Device { return &Device{options: o} }

// open returns the GPU, or why there is none.
func (d *Device) open() (*mtl.Device, error) {
	d.once.Do(func() {
		if d.gpu, d.err = mtl.Open(d.options); d.err != nil {
			d.err = &ir.Error{Code: ir.CodeDevice, Op: "Use", Msg: d.err.Error(), Hint: "use cpu", Err: d.err}
		} else if d.ahead {
			compileAhead(d.gpu)
		}
	})
	return d.gpu, d.err
}

// Name implements plan.Device.
func (d *Device) Name() string { return "metal" }

// Memory implements plan.Device.
func (d *Device) Memory() plan.MemoryInfo {
	gpu, err := d.open()
	if err != nil {
		return plan.MemoryInfo{}
	}
	s := gpu.MemoryStats()
	return plan.MemoryInfo{Total: int64(gpu.WorkingSet), Active: s.Active, Peak: s.Peak, Cached: s.Cached, Limit: s.Limit}
}

// SetLimit implements plan.Device; without a bound the GPU's working set is one.
func (d *Device) SetLimit(bytes int64) {
	if gpu, err := d.open(); err == nil {
		if bytes == 0 {
			bytes = int64(gpu.WorkingSet)
		}
		gpu.SetLimit(bytes)
	}
}

// Trim implements plan.Device.
func (d *Device) Trim() {
	if gpu, err := d.open(); err == nil {
		gpu.Purge()
	}
}

// Supports implements plan.Device: there are kernels for op on elements of
// dtype. Whether they take a step as it is, SupportsStep says.
func (d *Device) Supports(o ir.Op, dtype ir.DType) bool {
	if _, ok := elementTypes[dtype]; !ok {
		return o == op.Dequantize && quantBits[dtype] != 0
	}
	return lowerings[o] != nil || runsInPrograms(o) || op.Table[o].Kind == op.View || op.Table[o].Kind == op.Identity
}

// SupportsStep reports whether the step as a whole can be turned into launches.
func (d *Device) SupportsStep(p *plan.Plan, s *plan.Step) bool {
	gpu, err := d.open()
	if err != nil {
		return false
	}
	_, err = lower(p, s, chipOf(gpu))
	return !errors.Is(err, errNoKernel)
}

func chipOf(gpu *mtl.Device) kernels.Chip { return kernels.Chip{Class: byte(gpu.Class)} }

// Memory is a buffer that the GPU and the CPU share.
type Memory struct{ buffer *mtl.Buffer }

// Bytes implements ir.Buffer.
func (m *Memory) Bytes() int { return m.buffer.Len() }

// Host implements plan.Memory.
func (m *Memory) Host() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(m.buffer.Bytes())) }

// Alloc implements plan.Device.
func (d *Device) Alloc(bytes int) (plan.Memory, error) {
	gpu, err := d.open()
	if err != nil {
		return nil, err
	}
	b, err := gpu.NewBuffer(bytes)
	if err != nil {
		return nil, err
	}
	return &Memory{b}, nil
}

// Free implements plan.Device.
func (d *Device) Free(m plan.Memory) { m.(*Memory).buffer.Free() }
