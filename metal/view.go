package metal

import (
	"fmt"
	"unsafe"

	"loris/internal/plan"
	"loris/metal/mtl"
)

// view is memory of another device as the GPU sees it. It is kept until that memory is given back: to make one maps
// every page for the GPU, which for the weights of a loaded model takes longer than a step.
type view struct {
	buffer *mtl.Buffer
	before int // bytes of its first page before the memory
}

// view returns the view of m.
func (d *Device) view(m plan.Memory) (view, error) {
	d.viewing.Lock()
	defer d.viewing.Unlock()
	if v, ok := d.views[m]; ok {
		return v, nil
	}
	shared, ok := m.(plan.Attacher)
	if !ok {
		return view{}, fmt.Errorf("memory of another device, %T, cannot be shared", m)
	}
	const page = mtl.PageBytes
	before := int(uintptr(m.Host()) % page)
	bytes := (before + max(1, m.Bytes()) + page - 1) &^ (page - 1)
	b, err := d.gpu.Borrow(unsafe.Slice((*byte)(unsafe.Add(m.Host(), -before)), bytes), nil)
	if err != nil {
		return view{}, fmt.Errorf("memory of another device: %w", err)
	}
	v := view{b, before}
	if d.views == nil {
		d.views = map[plan.Memory]view{}
	}
	d.views[m] = v
	shared.Attach(func() { d.forget(m) })
	return v, nil
}

// forget gives the view of m back.
func (d *Device) forget(m plan.Memory) {
	d.viewing.Lock()
	defer d.viewing.Unlock()
	d.views[m].buffer.Free()
	delete(d.views, m)
}
