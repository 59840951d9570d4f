package socket

import "github.com/go-zeromq/zmq4"

// Echo is a bound socket that sends every message back as it came.
type Echo struct{ server }

// ListenEcho binds a heartbeat socket. It speaks as ROUTER: a REP socket would
// read meaning into empty frames.
func ListenEcho(endpoint string, o Options) (*Echo, error) {
	e := &Echo{server{Options: o, typ: zmq4.Router}}
	e.message = func(c *Conn, frames [][]byte) { c.Send(frames) }
	if err := e.listen(endpoint); err != nil {
		return nil, err
	}
	return e, nil
}
