package mtl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"loris/metal/objc"
)

// archive is the binary archive on disk: machine code of pipelines compiled in earlier runs. Whatever goes wrong with it,
// pipelines are compiled without.
type archive struct {
	id    objc.ID
	path  string
	mu    sync.Mutex
	timer *time.Timer // set while there is something to save
}

const (
	archiveDelay = 2 * time.Second // after the last addition: programs are killed more often than they end
	archiveBytes = 64 << 20        // an archive of more is not opened: kernels of years ago are in it
)

// openArchive returns nil where there is to be none, or Metal makes none.
func openArchive(d *Device) *archive {
	if d.options.CacheDir == "" {
		return nil
	}
	identity := sha256.Sum256([]byte(d.Name + d.Architecture))
	a := &archive{path: filepath.Join(d.options.CacheDir, "metal-"+hex.EncodeToString(identity[:8])+".archive")}
	objc.Pool(func() {
		descriptor := objc.NewObject("MTLBinaryArchiveDescriptor")
		defer descriptor.Release()
		var failure objc.ID
		if info, err := os.Stat(a.path); err == nil && info.Size() <= archiveBytes {
			archiveSetURL.Send(descriptor, uintptr(objc.FileURL(a.path)))
		}
		a.id = objc.ID(newBinaryArchive.Send(d.id, uintptr(descriptor), uintptr(unsafe.Pointer(&failure))))
		if a.id == 0 { // damaged, or from another version of macOS: start afresh
			os.Remove(a.path)
			archiveSetURL.Send(descriptor, 0)
			a.id = objc.ID(newBinaryArchive.Send(d.id, uintptr(descriptor), uintptr(unsafe.Pointer(&failure))))
		}
	})
	if a.id == 0 {
		return nil
	}
	return a
}

// pipeline makes a pipeline of the archive's machine code, which is compiled into it first if need be; 0 if that fails.
func (a *archive) pipeline(device, function objc.ID) objc.ID {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	descriptor := objc.NewObject("MTLComputePipelineDescriptor")
	defer descriptor.Release()
	setComputeFunction.Send(descriptor, uintptr(function))
	setBinaryArchives.Send(descriptor, uintptr(objc.Array(a.id)))
	var failure objc.ID
	found := func(options uintptr) objc.ID {
		return objc.ID(newPipelineDescriptor.Send(device, uintptr(descriptor), options, 0, uintptr(unsafe.Pointer(&failure))))
	}
	if id := found(failOnArchiveMiss); id != 0 {
		return id
	}
	if archiveAdd.Send(a.id, uintptr(descriptor), uintptr(unsafe.Pointer(&failure)))&0xff == 0 {
		return 0
	}
	if a.timer == nil {
		a.timer = time.AfterFunc(archiveDelay, a.save)
	} else {
		a.timer.Reset(archiveDelay)
	}
	return found(0)
}

// save writes the archive if something was added to it. Processes that end at the same time leave one's or the other's.
func (a *archive) save() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer == nil || a.id == 0 {
		return
	}
	a.timer.Stop()
	a.timer = nil
	if os.MkdirAll(filepath.Dir(a.path), 0o755) != nil {
		return
	}
	temporary := fmt.Sprintf("%s.%d", a.path, os.Getpid())
	defer os.Remove(temporary)
	objc.Pool(func() {
		var failure objc.ID
		if archiveSerialize.Send(a.id, uintptr(objc.FileURL(temporary)), uintptr(unsafe.Pointer(&failure)))&0xff != 0 {
			os.Rename(temporary, a.path)
		}
	})
}

// close saves the archive and gives it back.
func (a *archive) close() {
	if a == nil {
		return
	}
	a.save()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.id.Release()
	a.id = 0
}
