package display

import "sync/atomic"

// Outlet takes what is displayed to the front end. All methods are safe for
// concurrent use and return without waiting for the front end.
type Outlet interface {
	// Display shows b; displayID names it for later updates, "" for none.
	Display(b Bundle, displayID string)
	// Update replaces the content of every display named displayID.
	Update(b Bundle, displayID string)
	// Clear removes the output of the running cell; with wait, only when the
	// next output arrives, which avoids flicker.
	Clear(wait bool)
	// OpenComm opens a channel to the front end, for example a widget.
	OpenComm(id, target string, data, metadata map[string]any, buffers [][]byte)
	// SendComm sends a message on an open channel.
	SendComm(id string, data, metadata map[string]any, buffers [][]byte)
	// CloseComm closes a channel.
	CloseComm(id string, data map[string]any)
	// OnComm sets the function that receives the front end's messages on a
	// channel; nil removes it.
	OnComm(id string, f func(data map[string]any, buffers [][]byte))
}

type outletBox struct{ Outlet }

var current atomic.Pointer[outletBox]

// SetOutlet sets where everything goes that is shown from now on. Without an
// outlet, or with nil, displays are discarded, so that the libraries work in
// any program.
func SetOutlet(o Outlet) {
	if o == nil {
		current.Store(nil)
		return
	}
	current.Store(&outletBox{o})
}

// CurrentOutlet returns the outlet in use; it is never nil.
func CurrentOutlet() Outlet {
	if b := current.Load(); b != nil {
		return b.Outlet
	}
	return discard{}
}

// Connected reports whether anything receives what is displayed; programs use
// it to skip the work of rendering.
func Connected() bool { return current.Load() != nil }

// Show displays v in the running cell.
func Show(v any) { CurrentOutlet().Display(Of(v), "") }

// ShowID displays v under a name, so that [Update] can replace it later.
func ShowID(v any, id string) { CurrentOutlet().Display(Of(v), id) }

// Update replaces what was displayed under id by v, wherever it is shown. It
// shows nothing if no display has that name.
func Update(v any, id string) { CurrentOutlet().Update(Of(v), id) }

// Clear removes the running cell's output; with wait, only when the next
// output arrives.
func Clear(wait bool) { CurrentOutlet().Clear(wait) }

type discard struct{}

func (discard) Display(Bundle, string)                                     {}
func (discard) Update(Bundle, string)                                      {}
func (discard) Clear(bool)                                                 {}
func (discard) OpenComm(_, _ string, _, _ map[string]any, _ [][]byte)      {}
func (discard) SendComm(_ string, _, _ map[string]any, _ [][]byte)         {}
func (discard) CloseComm(string, map[string]any)                           {}
func (discard) OnComm(string, func(data map[string]any, buffers [][]byte)) {}
