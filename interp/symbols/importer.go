package symbols

import (
	"bytes"
	"go/token"
	"go/types"
	"sync"

	"golang.org/x/tools/go/gcexportdata"
)

// Importer returns the importer of the embedded export data. There is one for
// the whole program, so that types of imported packages are the same in all
// sessions; it is safe for concurrent use. Objects have no positions.
func Importer() types.Importer { return imports }

var imports = &importer{known: map[string]*types.Package{"unsafe": types.Unsafe}}

type importer struct {
	mu    sync.Mutex
	known map[string]*types.Package // complete, or mentioned by a complete one
}

func (i *importer) Import(path string) (*types.Package, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if pkg := i.known[path]; pkg != nil && pkg.Complete() {
		return pkg, nil
	}
	e, ok := packages[path]
	if !ok {
		return nil, &UnknownError{Path: path}
	}
	data, err := e.from.export(path)
	if err != nil {
		return nil, err
	}
	return gcexportdata.Read(bytes.NewReader(data), token.NewFileSet(), i.known, path)
}
