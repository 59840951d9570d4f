//go:build !darwin && !(linux && softmetal && (amd64 || arm64))

package objc

// Load reports that there is no Objective-C runtime.
func Load() error { return ErrUnavailable }

func (m *Message) Send(self ID, args ...uintptr) uintptr            { panic(ErrUnavailable) }
func (m *Message) SendClass(args ...uintptr) uintptr                { panic(ErrUnavailable) }
func (m *Message) Float(self ID) float64                            { panic(ErrUnavailable) }
func (m *Message) Size(self ID) Size                                { panic(ErrUnavailable) }
func (o ID) RespondsTo(m *Message) bool                             { panic(ErrUnavailable) }
func (o ID) Retain() ID                                             { panic(ErrUnavailable) }
func (o ID) Release()                                               { panic(ErrUnavailable) }
func Pool(f func())                                                 { panic(ErrUnavailable) }
func String(s string) ID                                            { panic(ErrUnavailable) }
func GoString(o ID) string                                          { panic(ErrUnavailable) }
func CString(address uintptr) string                                { panic(ErrUnavailable) }
func ErrorText(e ID) string                                         { panic(ErrUnavailable) }
func NewObject(class string) ID                                     { panic(ErrUnavailable) }
func FileURL(path string) ID                                        { panic(ErrUnavailable) }
func Array(objects ...ID) ID                                        { panic(ErrUnavailable) }
func Function(name string) uintptr                                  { panic(ErrUnavailable) }
func Call(function uintptr, args ...uintptr) uintptr                { panic(ErrUnavailable) }
func TypeEncoding(m *Message) string                                { panic(ErrUnavailable) }
func NewBlock(f func(first, second uintptr)) ID                     { panic(ErrUnavailable) }
func (o ID) ReleaseBlock()                                          { panic(ErrUnavailable) }
func (s *Sender) Send(m *Message, self ID, a0, a1, a2 uintptr)      { panic(ErrUnavailable) }
func (s *Sender) Send4(m *Message, self ID, a0, a1, a2, a3 uintptr) { panic(ErrUnavailable) }
func (s *Sender) Dispatch(m *Message, self ID, grid, group *Size)   { panic(ErrUnavailable) }
func (s *Sender) Result(m *Message, self ID) uintptr                { panic(ErrUnavailable) }
func (s *Sender) PoolPush() uintptr                                 { panic(ErrUnavailable) }
func (s *Sender) PoolPop(pool uintptr)                              { panic(ErrUnavailable) }
func (s *Sender) Release(o ID)                                      { panic(ErrUnavailable) }
func (s *Sender) Retain(o ID)                                       { panic(ErrUnavailable) }

func (s *Sender) Value() uintptr { panic(ErrUnavailable) }

// Sender sends messages without allocating.
type Sender struct{}
