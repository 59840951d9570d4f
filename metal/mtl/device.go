package mtl

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"loris/metal/objc"
)

// Class is the size of a chip, after the last letter of its architecture's name. Tile shapes and the length of
// command buffers follow it.
type Class byte

const (
	Phone Class = 'p'
	Base  Class = 'g'
	Pro   Class = 's' // Pro and Max
	Ultra Class = 'd'
)

// Info describes a device.
type Info struct {
	Name                 string
	Architecture         string // "applegpu_g13s", empty before macOS 14
	Class                Class
	Family               int // 7 for M1, 8 for M2, 9 for M3 and M4; 5 for virtual machines' GPUs, 0 for others than Apple's
	UnifiedMemory        bool
	WorkingSet           uint64 // bytes that the GPU can use without slowing down
	MaxBuffer            uint64
	MaxThreadgroupMemory int
	MaxThreads           objc.Size
}

// Options configure a device. The zero value is right outside tests.
type Options struct {
	// NoSlabs gives small buffers a Metal buffer of their own, so that a software Metal can guard their ends.
	NoSlabs bool
	// Serial runs every dispatch in its own command buffer and waits for it. LORIS_METAL_SERIAL=1 sets it too.
	Serial bool
	// CacheDir keeps compiled pipelines; "" keeps none.
	CacheDir string
	// Limit is the most bytes that buffers may hold, 0 for the device's working set.
	Limit int64
}

// Device is the GPU with its one queue. All methods may be called from any goroutine.
type Device struct {
	Info
	Stream *Stream

	id        objc.ID
	options   Options
	memory    memory
	pipelines *pipelineCache
	closed    sync.Once
}

// Open returns the default device, or an error that wraps objc.ErrUnavailable where there is none.
func Open(o Options) (*Device, error) {
	if err := objc.Load(); err != nil {
		return nil, err
	}
	create := objc.Function("MTLCreateSystemDefaultDevice")
	if create == 0 {
		return nil, fmt.Errorf("%w: Metal.framework has no MTLCreateSystemDefaultDevice", objc.ErrUnavailable)
	}
	d := &Device{options: o}
	objc.Pool(func() {
		if d.id = objc.ID(objc.Call(create)); d.id != 0 {
			d.Info = describe(d.id)
		}
	})
	if d.id == 0 {
		return nil, fmt.Errorf("%w: no GPU was found", objc.ErrUnavailable)
	}
	if d.Family == 0 { // an Intel Mac
		d.id.Release()
		return nil, fmt.Errorf("%w, and %s is not one of its GPUs", objc.ErrUnavailable, d.Name)
	}
	if os.Getenv("LORIS_METAL_SERIAL") == "1" {
		d.options.Serial = true
	}
	d.memory = newMemory(d)
	d.pipelines = newPipelineCache(d)
	d.Stream = newStream(d)
	return d, nil
}

func describe(id objc.ID) Info {
	i := Info{
		Name:                 objc.GoString(objc.ID(deviceName.Send(id))),
		UnifiedMemory:        hasUnifiedMemory.Send(id)&0xff != 0,
		WorkingSet:           uint64(workingSetSize.Send(id)),
		MaxBuffer:            uint64(maxBufferLength.Send(id)),
		MaxThreadgroupMemory: int(maxThreadgroupMemory.Send(id)),
		MaxThreads:           maxThreadsPerGroup.Size(id),
		Class:                Base,
	}
	if id.RespondsTo(deviceArchitecture) { // macOS 14
		i.Architecture = objc.GoString(objc.ID(architectureName.Send(objc.ID(deviceArchitecture.Send(id)))))
		if n := len(i.Architecture); n > 0 && strings.IndexByte("pgsd", i.Architecture[n-1]) >= 0 {
			i.Class = Class(i.Architecture[n-1])
		}
	}
	const appleFamily = 1000
	for family := 20; family > 0; family-- {
		if supportsFamily.Send(id, uintptr(appleFamily+family))&0xff != 0 {
			i.Family = family
			break
		}
	}
	return i
}

// Close waits for the GPU and gives everything back. Buffers must not be used afterwards.
func (d *Device) Close() error {
	var err error
	d.closed.Do(func() {
		err = d.Stream.close()
		d.pipelines.close()
		d.memory.close()
		d.id.Release()
	})
	return err
}
