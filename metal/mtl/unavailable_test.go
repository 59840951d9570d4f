//go:build !darwin && !softmetal

package mtl

import (
	"errors"
	"testing"

	"loris/metal/objc"
)

func TestOpenSaysThatThereIsNoMetalHere(t *testing.T) {
	if _, err := Open(Options{}); !errors.Is(err, objc.ErrUnavailable) {
		t.Errorf("error %v does not wrap objc.ErrUnavailable", err)
	}
}
