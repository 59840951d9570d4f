//go:build darwin || (linux && softmetal && (amd64 || arm64))

package objc

import (
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

var (
	alloc              = Declare("+NSObject", "alloc", "@")
	initObject         = Declare("NSObject", "init", "@")
	respondsToSelector = Declare("NSObject", "respondsToSelector:", "B:")
	stringWithCString  = Declare("+NSString", "stringWithCString:encoding:", "@*Q")
	utf8String         = Declare("NSString", "UTF8String", "*")
	localizedDesc      = Declare("NSError", "localizedDescription", "@")
	fileURLWithPath    = Declare("+NSURL", "fileURLWithPath:", "@@")
	arrayWithObjects   = Declare("+NSArray", "arrayWithObjects:count:", "@^@Q")
)

const utf8StringEncoding = 4

// Pool runs f inside an autorelease pool. Pools belong to an OS thread, so f must not wait for other goroutines
// that use Objective-C on its behalf.
func Pool(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pool := Call(poolPush)
	defer Call(poolPop, pool)
	f()
}

// String makes an autoreleased NSString.
func String(s string) ID {
	return ID(stringWithCString.SendClass(uintptr(unsafe.Pointer(cString(s))), utf8StringEncoding))
}

// GoString copies an NSString; nil gives "".
func GoString(o ID) string {
	if o == 0 {
		return ""
	}
	return goString(utf8String.Send(o))
}

// CString copies a zero-terminated string of C.
func CString(address uintptr) string { return goString(address) }

func goString(address uintptr) string {
	if address == 0 {
		return ""
	}
	p := *(**byte)(unsafe.Pointer(&address))
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// ErrorText is an NSError's description.
func ErrorText(e ID) string {
	if e == 0 {
		return "unknown error"
	}
	return GoString(ID(localizedDesc.Send(e)))
}

// NewObject allocates and initialises an instance, which the caller owns. 0 if the class does not exist.
func NewObject(name string) ID {
	c := class(name)
	if c == 0 {
		return 0
	}
	return ID(initObject.Send(ID(alloc.Send(c))))
}

// FileURL makes an autoreleased NSURL of a path.
func FileURL(path string) ID { return ID(fileURLWithPath.SendClass(uintptr(String(path)))) }

// Array makes an autoreleased NSArray.
func Array(objects ...ID) ID {
	return ID(arrayWithObjects.SendClass(uintptr(unsafe.Pointer(unsafe.SliceData(objects))), uintptr(len(objects))))
}

// RespondsTo says whether the object has a method for the message: some exist from a certain macOS on.
func (o ID) RespondsTo(m *Message) bool {
	return respondsToSelector.Send(o, m.selector)&0xff != 0
}

// TypeEncoding is the runtime's own encoding of the method, "" if it has none.
func TypeEncoding(m *Message) string {
	name, find := m.Class, getInstanceMethod
	if name[0] == '+' {
		name, find = name[1:], getClassMethod
	}
	method := Call(find, uintptr(class(name)), m.selector)
	if method == 0 {
		return ""
	}
	return goString(Call(getTypeEncoding, method))
}

// The memory layout of a block, by Apple's block ABI.
type blockDescriptor struct {
	_, size       uintptr
	copy, dispose uintptr
	signature     uintptr
}
type blockLiteral struct {
	isa        ID
	flags      int32
	_          int32
	invoke     uintptr
	descriptor *blockDescriptor
}

const (
	blockHasCopyDispose = 1 << 25
	blockHasSignature   = 1 << 30
)

var blocks = struct {
	sync.Mutex
	functions map[ID]func(first, second uintptr)
	layout    blockLiteral
	signature []byte
	once      sync.Once
}{functions: map[ID]func(first, second uintptr){}, signature: []byte("v@?@Q\x00")}

// NewBlock makes a block that calls f with its first two arguments; it may be called from any thread. The caller
// owns one reference, see ReleaseBlock.
func NewBlock(f func(first, second uintptr)) ID {
	blocks.once.Do(func() {
		invoke := purego.NewCallback(func(b ID, first, second uintptr) {
			blocks.Lock()
			f := blocks.functions[b]
			blocks.Unlock()
			f(first, second)
		})
		dispose := purego.NewCallback(func(b ID) {
			blocks.Lock()
			delete(blocks.functions, b)
			blocks.Unlock()
		})
		nothing := purego.NewCallback(func(to, from uintptr) {})
		blocks.layout = blockLiteral{isa: class("__NSMallocBlock__"), flags: blockHasCopyDispose | blockHasSignature, invoke: invoke,
			descriptor: &blockDescriptor{size: unsafe.Sizeof(blockLiteral{}), copy: nothing, dispose: dispose,
				signature: uintptr(unsafe.Pointer(&blocks.signature[0]))}}
	})
	literal := blocks.layout
	b := ID(Call(blockCopy, uintptr(unsafe.Pointer(&literal))))
	blocks.Lock()
	blocks.functions[b] = f
	blocks.Unlock()
	return b
}

// ReleaseBlock gives up the caller's reference.
func (o ID) ReleaseBlock() { Call(blockRelease, uintptr(o)) }
