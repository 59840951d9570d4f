package devicetest

import (
	"testing"

	_ "loris/internal/cpu"
)

func TestCPUAgreesWithReference(t *testing.T) { Run(t, "cpu") }
