//go:build !darwin && !softmetal

package metal

import (
	"errors"
	"testing"

	"loris/metal/objc"
)

func TestExamineSaysThatThereIsNoMetalHere(t *testing.T) {
	if _, err := Examine(); !errors.Is(err, objc.ErrUnavailable) {
		t.Errorf("error %v does not wrap objc.ErrUnavailable", err)
	}
}
