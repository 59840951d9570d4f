package plan

import (
	"loris/internal/ir"
	"loris/internal/op"
)

// batch joins steps that do the same to different buffers into one: the
// optimiser updates of all parameters, which share their attributes and step
// constants. Their results are outputs only, so that the joined step can stand
// last.
func batch(p *Plan) {
	read := make([]bool, len(p.Buffers))
	for i := range p.Steps {
		for k := range p.Steps[i].In {
			read[p.Steps[i].In[k].Buffer] = true
		}
	}
	type key struct {
		attrs  string
		dtypes [8]ir.DType
		shared int // buffer of the step constants
	}
	first := map[key]int{} // where in last the joined step is
	var keep, last []Step
	for i := range p.Steps {
		s := p.Steps[i]
		if s.Op != op.AdamW || s.Kind != OpStep || anyRead(&s, read) {
			keep = append(keep, s)
			continue
		}
		k := key{attrs: string(s.Attrs.AppendKey(nil)), shared: s.In[4].Buffer}
		for j := range s.In {
			k.dtypes[j] = s.In[j].DType
		}
		k.dtypes[5] = s.Out[0].DType
		at, ok := first[k]
		if !ok {
			first[k] = len(last)
			last = append(last, s)
			continue
		}
		t := &last[at]
		t.Batch = append(t.Batch, Operands{s.In, s.Out})
		t.Origin = append(t.Origin, s.Origin...)
		t.Flops += s.Flops
		t.Bytes += s.Bytes
	}
	p.Steps = append(keep, last...)
}

// anyRead reports whether another step reads a result of s.
func anyRead(s *Step, read []bool) bool {
	for k := range s.Out {
		if read[s.Out[k].Buffer] {
			return true
		}
	}
	return false
}
