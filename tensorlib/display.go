package tensorlib

import (
	"fmt"
	"html"
	"math"

	"loris/display"
	"loris/internal/ir"
	"loris/internal/op"
)

// replayed is how many elements an output carries for comparison with a rerun.
const replayed = 64

// MIME computes x and shows its shape, dtype, statistics, values and, from two
// axes on, a heat map of the last two. Quantised matrices show the numbers that
// they stand for.
func (x *Tensor) MIME() (m map[string]any) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			m = display.Output{Part: display.Note(e.Detail())}.MIME()
		default:
			panic(e)
		}
	}()
	n := x.n("MIME")
	v := dense(x).Floats()
	s := summarise(v)
	size := display.Bytes(op.SizeBytes(n))
	if n.DType.Bytes() == 0 {
		size = display.Bytes(n.Value().Buffer.Bytes())
	}
	facts := display.Facts{
		{"shape", n.Shape.String()}, {"dtype", n.DType.String()}, {"device", x.Device()},
		{"size", fmt.Sprintf("%d elements, %v", len(v), size)},
	}
	var numbers display.Facts
	if len(v) > 1 && n.DType != Bool {
		numbers = append(numbers, [2]string{"min", display.Number(s.min, 5)}, [2]string{"mean", display.Number(s.mean, 5)},
			[2]string{"max", display.Number(s.max, 5)}, [2]string{"std", display.Number(s.std, 5)})
	}
	if n.DType.IsFloat() && (s.nan > 0 || s.inf > 0) {
		numbers = append(numbers, [2]string{"NaN", fmt.Sprint(s.nan)}, [2]string{"Inf", fmt.Sprint(s.inf)})
	}
	text := x.String()
	head := display.Part(facts)
	if numbers != nil {
		head = display.Row(facts, numbers)
	}
	parts := []display.Part{head, display.Fragment("<pre>"+html.EscapeString(text)+"</pre>", text)}
	if rows := heat(n.Shape, v); rows != nil {
		h := &display.HeatMap{Values: rows}
		if len(n.Shape) > 2 {
			h.Note = fmt.Sprintf("first of %d matrices", ir.Shape(n.Shape[:len(n.Shape)-2]).Size())
		}
		parts = append(parts, display.Fragment(`<div style="margin-top:10px">`+h.HTML()+`</div>`, ""))
	}
	values := map[string]any{"shape": []int(n.Shape), "dtype": n.DType.String(), "values": v[:min(len(v), replayed)]}
	if len(v) > replayed {
		values["mean"], values["min"], values["max"], values["std"] = s.mean, s.min, s.max, s.std
	}
	out := display.Output{Part: display.Stack("", parts...), Result: display.Result{Values: values, Measured: map[string]any{"device": x.Device()}}}
	m = out.MIME()
	m[display.MIMEText] = text
	return m
}

// dense is x, or the numbers that a quantised matrix stands for.
func dense(x *Tensor) *Tensor {
	if x.n("Floats").DType.Bytes() > 0 {
		return x
	}
	return x.Eval().Dequantize()
}

// statistics of the finite elements.
type statistics struct {
	min, max, mean, std float64
	nan, inf            int
}

func summarise(v []float64) statistics {
	s := statistics{min: math.Inf(1), max: math.Inf(-1)}
	count, square := 0.0, 0.0
	for _, x := range v {
		switch {
		case math.IsNaN(x):
			s.nan++
		case math.IsInf(x, 0):
			s.inf++
		default:
			s.min, s.max = math.Min(s.min, x), math.Max(s.max, x)
			// Welford's update: the sum of squares does not cancel.
			count++
			d := x - s.mean
			s.mean += d / count
			square += d * (x - s.mean)
		}
	}
	if count == 0 {
		return statistics{math.NaN(), math.NaN(), math.NaN(), math.NaN(), s.nan, s.inf}
	}
	s.std = math.Sqrt(square / count)
	return s
}

// heat returns the first matrix of the last two axes, nil if there is none
// worth a picture.
func heat(s Shape, v []float64) [][]float64 {
	if len(s) < 2 {
		return nil
	}
	rows, cols := s[len(s)-2], s[len(s)-1]
	if rows < 2 || cols < 2 || len(v) == 0 {
		return nil
	}
	out := make([][]float64, rows)
	for i := range out {
		out[i] = v[i*cols:][:cols]
	}
	return out
}
