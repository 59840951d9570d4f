package headers

import (
	"testing"

	_ "loris/metal/mtl" // declares its messages
	"loris/metal/objc"
)

func TestEveryMessageIsInApplesHeaders(t *testing.T) {
	for _, err := range Check(objc.Messages) {
		t.Error(err)
	}
	if len(objc.Messages) < 40 {
		t.Errorf("only %d messages are declared", len(objc.Messages))
	}
}

func TestPlantedMistakesAreFound(t *testing.T) {
	for name, m := range map[string]objc.Message{
		"misspelt selector": {Class: "MTLComputeCommandEncoder", Selector: "dispatchThreadgroup:threadsPerThreadgroup:", Types: "v{MTLSize=QQQ}{MTLSize=QQQ}"},
		"wrong class":       {Class: "MTLDevice", Selector: "commit", Types: "v"},
		"missing argument":  {Class: "MTLDevice", Selector: "newBufferWithLength:options:", Types: "@Q"},
		"wrong type":        {Class: "MTLCommandBuffer", Selector: "GPUStartTime", Types: "Q"},
		"pointer depth":     {Class: "MTLDevice", Selector: "newBinaryArchiveWithDescriptor:error:", Types: "@@@"},
		"class method":      {Class: "NSURL", Selector: "fileURLWithPath:", Types: "@@"},
	} {
		if len(Check([]*objc.Message{&m})) == 0 {
			t.Errorf("%s was not found", name)
		}
	}
}
