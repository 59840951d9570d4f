package mtl

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"loris/metal/objc"
)

// Constant is the value of one function constant: bool, int32, uint32 or float32.
type Constant struct {
	Index int
	Value any
}

// Pipeline is a kernel compiled for the device.
type Pipeline struct {
	Name         string
	MaxThreads   int // per threadgroup; heavy kernels allow fewer than the device
	Width        int // threads of a SIMD group
	StaticMemory int // bytes of threadgroup memory
	id           objc.ID
}

// ID is the Metal pipeline state.
func (p *Pipeline) ID() objc.ID { return p.id }

// Diagnostic is one message of Apple's compiler.
type Diagnostic struct {
	File         string
	Line, Column int
	Severity     string // error, warning, note
	Message      string
}

// CompileError holds what Apple's compiler said about a source.
type CompileError struct {
	Entry       string
	Diagnostics []Diagnostic
	Text        string // the whole message
}

func (e *CompileError) Error() string {
	for _, d := range e.Diagnostics {
		if d.Severity == "error" {
			return fmt.Sprintf("Metal kernel %s: %s:%d:%d: %s", e.Entry, d.File, d.Line, d.Column, d.Message)
		}
	}
	return fmt.Sprintf("Metal kernel %s: %s", e.Entry, e.Text)
}

var diagnosticLine = regexp.MustCompile(`(?m)^([^:\n]+):(\d+):(\d+): (fatal error|error|warning|note): (.*)$`)

func newCompileError(entry, text string) *CompileError {
	e := &CompileError{Entry: entry, Text: strings.TrimSpace(text)}
	for _, m := range diagnosticLine.FindAllStringSubmatch(text, -1) {
		line, _ := strconv.Atoi(m[2])
		column, _ := strconv.Atoi(m[3])
		e.Diagnostics = append(e.Diagnostics, Diagnostic{m[1], line, column, strings.TrimPrefix(m[4], "fatal "), m[5]})
	}
	return e
}

// pipelineCache keeps libraries by the hash of their source and pipelines by source, entry and constants.
type pipelineCache struct {
	device    *Device
	mu        sync.Mutex
	libraries map[[32]byte]*once[objc.ID]
	pipelines map[string]*once[*Pipeline]
	archive   *archive
	preparing sync.WaitGroup // what compiles in the background
	closing   atomic.Bool
}

// once is a result that the first caller makes and others wait for.
type once[T any] struct {
	sync.Once
	value T
	err   error
}

func newPipelineCache(d *Device) *pipelineCache {
	return &pipelineCache{device: d, libraries: map[[32]byte]*once[objc.ID]{}, pipelines: map[string]*once[*Pipeline]{}, archive: openArchive(d)}
}

// Pipeline compiles an entry function of a source, or returns the one compiled before. Failures are *CompileError.
func (d *Device) Pipeline(source, entry string, constants ...Constant) (*Pipeline, error) {
	hash := sha256.Sum256([]byte(source))
	key := string(hash[:]) + entry + fmt.Sprint(constants)
	c := d.pipelines
	c.mu.Lock()
	p, ok := c.pipelines[key]
	if !ok {
		p = new(once[*Pipeline])
		c.pipelines[key] = p
	}
	c.mu.Unlock()
	p.Do(func() { p.value, p.err = c.compile(hash, source, entry, constants) })
	return p.value, p.err
}

// Request names a pipeline to compile ahead of use.
type Request struct {
	Source, Entry string
	Constants     []Constant
}

// Prepare compiles pipelines in the background. Errors come up when the pipeline is asked for.
func (d *Device) Prepare(requests []Request) {
	c := d.pipelines
	c.preparing.Go(func() {
		for _, r := range requests {
			if c.closing.Load() {
				return
			}
			_, _ = d.Pipeline(r.Source, r.Entry, r.Constants...)
		}
	})
}

// Prepared waits for what Prepare compiles.
func (d *Device) Prepared() { d.pipelines.preparing.Wait() }

func (c *pipelineCache) library(hash [32]byte, source, entry string) (objc.ID, error) {
	c.mu.Lock()
	l, ok := c.libraries[hash]
	if !ok {
		l = new(once[objc.ID])
		c.libraries[hash] = l
	}
	c.mu.Unlock()
	l.Do(func() { l.value, l.err = c.compileLibrary(source, entry) })
	return l.value, l.err
}

// compileLibrary uses safe math and precise functions: results then do not depend on the compiler's rewrites. Since macOS 15
// the two are apart, and plain exp is fast::exp unless precise functions are asked for.
func (c *pipelineCache) compileLibrary(source, entry string) (id objc.ID, err error) {
	objc.Pool(func() {
		options := objc.NewObject("MTLCompileOptions")
		defer options.Release()
		if options.RespondsTo(setMathMode) { // macOS 15
			setMathMode.Send(options, mathModeSafe)
			setMathFunctions.Send(options, mathFunctionsPrecise)
		} else {
			setFastMathEnabled.Send(options, 0)
		}
		setLanguageVersion.Send(options, languageVersion31)
		var failure objc.ID
		id = objc.ID(newLibrary.Send(c.device.id, uintptr(objc.String(source)), uintptr(options), uintptr(unsafe.Pointer(&failure))))
		if id == 0 {
			err = newCompileError(entry, objc.ErrorText(failure))
		}
	})
	return id, err
}

func (c *pipelineCache) compile(hash [32]byte, source, entry string, constants []Constant) (p *Pipeline, err error) {
	library, err := c.library(hash, source, entry)
	if err != nil {
		return nil, err
	}
	objc.Pool(func() {
		var function objc.ID
		if function, err = specialised(library, entry, constants); err != nil {
			return
		}
		defer function.Release()
		var failure objc.ID
		id := c.archive.pipeline(c.device.id, function)
		if id == 0 {
			id = objc.ID(newPipeline.Send(c.device.id, uintptr(function), uintptr(unsafe.Pointer(&failure))))
		}
		if id == 0 {
			err = newCompileError(entry, objc.ErrorText(failure))
			return
		}
		p = &Pipeline{Name: entry, id: id, MaxThreads: int(pipelineMaxThreads.Send(id)), Width: int(pipelineWidth.Send(id)), StaticMemory: int(pipelineStaticMemory.Send(id))}
	})
	return p, err
}

func specialised(library objc.ID, entry string, constants []Constant) (objc.ID, error) {
	name := uintptr(objc.String(entry))
	if len(constants) == 0 {
		if f := objc.ID(newFunction.Send(library, name)); f != 0 {
			return f, nil
		}
		return 0, newCompileError(entry, "the source has no such function")
	}
	values := objc.NewObject("MTLFunctionConstantValues")
	defer values.Release()
	for _, k := range constants {
		word := new(uint32)
		kind := uintptr(dataTypeUInt)
		switch v := k.Value.(type) {
		case bool:
			kind = dataTypeBool
			if v {
				*word = 1
			}
		case int32:
			kind, *word = dataTypeInt, uint32(v)
		case uint32:
			*word = v
		case float32:
			kind, *word = dataTypeFloat, *(*uint32)(unsafe.Pointer(&v))
		default:
			return 0, fmt.Errorf("function constant %d of %s: %T is not bool, int32, uint32 or float32", k.Index, entry, k.Value)
		}
		setConstantValue.Send(values, uintptr(unsafe.Pointer(word)), kind, uintptr(k.Index))
	}
	var failure objc.ID
	f := objc.ID(newFunctionConstants.Send(library, name, uintptr(values), uintptr(unsafe.Pointer(&failure))))
	if f == 0 {
		return 0, newCompileError(entry, objc.ErrorText(failure))
	}
	return f, nil
}

func (c *pipelineCache) close() {
	c.closing.Store(true)
	c.preparing.Wait()
	for _, p := range c.pipelines {
		p.Do(func() {})
		if p.value != nil {
			p.value.id.Release()
		}
	}
	for _, l := range c.libraries {
		l.Do(func() {})
		l.value.Release()
	}
	c.archive.close()
}
