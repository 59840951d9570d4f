package notebook

import (
	"encoding/json"
	"strings"
	"testing"
)

// result is a cell with one output of values, measurements and a picture.
func withOutputs(tags []any, outputs ...*Output) *Notebook {
	return &Notebook{Cells: []*Cell{{ID: "c", Type: Code, Source: "x", Metadata: map[string]any{"tags": tags}, ExecutionCount: 1, Outputs: outputs}}}
}

func rich(data map[string]any) *Output { return &Output{Type: DisplayData, Data: data} }

func values(js string, text string) *Output {
	var v any
	if err := decodeNumbers([]byte(js), &v); err != nil {
		panic(err)
	}
	return rich(map[string]any{mimeResult: v, "text/plain": text, "text/html": "<p>" + text})
}

func stdout(s string) *Output { return &Output{Type: Stream, Name: "stdout", Text: s} }

func TestCheckComparesWhatItShould(t *testing.T) {
	for _, c := range []struct {
		name          string
		stored, fresh *Notebook
		differs       string // part of the reason, empty for agreement
	}{
		{"measurements and their pictures are free", withOutputs(nil, values(`{"values":{"loss":1.5},"measured":{"us":120}}`, "120 µs")),
			withOutputs(nil, values(`{"values":{"loss":1.50001},"measured":{"us":345}}`, "345 µs")), ""},
		{"a planted wrong value", withOutputs(nil, values(`{"values":{"loss":1.5}}`, "")), withOutputs(nil, values(`{"values":{"loss":1.6}}`, "")), "values.loss"},
		{"default tolerance", withOutputs(nil, values(`{"values":[1.0002]}`, "")), withOutputs(nil, values(`{"values":[1]}`, "")), "values[0]"},
		{"own tolerance", withOutputs(nil, values(`{"values":[1.0002],"tolerance":0.001}`, "")), withOutputs(nil, values(`{"values":[1]}`, "")), ""},
		{"the stored tolerance counts", withOutputs(nil, values(`{"values":[1.0002],"tolerance":0.0001}`, "")), withOutputs(nil, values(`{"values":[1],"tolerance":1}`, "")), "values[0]"},
		{"small beside large in one list", withOutputs(nil, values(`{"values":[1000, 0.001]}`, "")), withOutputs(nil, values(`{"values":[1000, 0.002]}`, "")), ""},
		{"small alone", withOutputs(nil, values(`{"values":0.001}`, "")), withOutputs(nil, values(`{"values":0.002}`, "")), "values"},
		{"NaN is a text", withOutputs(nil, values(`{"values":["NaN"]}`, "")), withOutputs(nil, values(`{"values":[1]}`, "")), "another value"},
		{"NaN equals NaN", withOutputs(nil, values(`{"values":["NaN"]}`, "")), withOutputs(nil, values(`{"values":["NaN"]}`, "")), ""},
		{"another length", withOutputs(nil, values(`{"values":[1,2]}`, "")), withOutputs(nil, values(`{"values":[1]}`, "")), "another length"},
		{"a missing key", withOutputs(nil, values(`{"values":{"a":1,"b":2}}`, "")), withOutputs(nil, values(`{"values":{"a":1}}`, "")), "values.b"},
		{"values gone", withOutputs(nil, values(`{"values":{"a":1}}`, "")), withOutputs(nil, values(`{"measured":{"a":1}}`, "")), "another value"},
		{"result gone", withOutputs(nil, values(`{"values":{"a":1}}`, "")), withOutputs(nil, rich(map[string]any{"text/plain": ""})), "no application/vnd.loris+json"},
		{"true is not false", withOutputs(nil, values(`{"values":{"ok":true}}`, "")), withOutputs(nil, values(`{"values":{"ok":false}}`, "")), "values.ok"},

		{"text with near numbers", withOutputs(nil, stdout("loss 0.50001, n=3\n")), withOutputs(nil, stdout("loss 0.50000, n=3\n")), ""},
		{"text with another number", withOutputs(nil, stdout("loss 0.5\n")), withOutputs(nil, stdout("loss 0.6\n")), "differs by"},
		{"text with another word", withOutputs(nil, stdout("x f32\n")), withOutputs(nil, stdout("x f64\n")), "another text"},
		{"text with another sign", withOutputs(nil, stdout("-1.5")), withOutputs(nil, stdout("1.5")), "differs by"},
		{"hyphens are no signs", withOutputs(nil, stdout("a-1 2-3")), withOutputs(nil, stdout("a-1 2-3.00001")), ""},
		{"text with exponents", withOutputs(nil, stdout("1.0e-8")), withOutputs(nil, stdout("2.0e-8")), "differs by"},
		{"columns move with numbers", withOutputs(nil, stdout("a   9.99999")), withOutputs(nil, stdout("a  10.00000")), ""},
		{"more lines", withOutputs(nil, stdout("a\n")), withOutputs(nil, stdout("a\nb\n")), "1 line more"},
		{"cut streams are joined", withOutputs(nil, stdout("a\nb\n")), withOutputs(nil, stdout("a\n"), &Output{Type: Stream, Name: "stderr"}, stdout("b\n")), ""},
		{"other text of rich output", withOutputs(nil, rich(map[string]any{"text/html": "<b>1"})), withOutputs(nil, rich(map[string]any{"text/html": "<i>1"})), "text/html"},
		{"JSON output", withOutputs(nil, rich(map[string]any{"application/json": map[string]any{"a": json.Number("1")}})), withOutputs(nil, rich(map[string]any{"application/json": map[string]any{"a": 2}})), "application/json.a"},
		{"pixels are only there", withOutputs(nil, rich(map[string]any{"image/png": "aGk="})), withOutputs(nil, rich(map[string]any{"image/png": "aG8="})), ""},
		{"picture gone", withOutputs(nil, rich(map[string]any{"image/png": "aGk=", "text/plain": ""})), withOutputs(nil, rich(map[string]any{"text/plain": ""})), "shows less"},
		{"an output more", withOutputs(nil), withOutputs(nil, rich(map[string]any{"text/plain": "x"})), "not in the stored run"},
		{"an output less", withOutputs(nil, rich(map[string]any{"text/plain": "x"})), withOutputs(nil), "missing in the new run"},
		{"another error", withOutputs(nil, &Output{Type: Error, EName: "E", EValue: "a"}), withOutputs(nil, &Output{Type: Error, EName: "E", EValue: "b"}), "another text"},
		{"traces are free", withOutputs(nil, &Output{Type: Error, EName: "E", Traceback: []string{"1"}}), withOutputs(nil, &Output{Type: Error, EName: "E", Traceback: []string{"2"}}), ""},

		{"measured cells are only run", withOutputs([]any{TagMeasured}, stdout("12 ms")), withOutputs([]any{TagMeasured}, stdout("15 ms"), stdout("more")), ""},
		{"another notebook", withOutputs(nil), &Notebook{}, "not the same notebook"},
	} {
		got := Compare(c.stored, c.fresh)
		report := got.String()
		if c.differs == "" && !got.OK() || c.differs != "" && (got.OK() || !strings.Contains(report, c.differs)) {
			t.Errorf("%s: want %q, got\n%s", c.name, c.differs, report)
		}
	}
}

func TestCheckReportsFewOfManyElements(t *testing.T) {
	list := func(x string) string { return `{"values":[` + strings.Repeat(x+",", 99) + x + `]}` }
	got := Compare(withOutputs(nil, values(list("1"), "")), withOutputs(nil, values(list("2"), "")))
	if len(got.Differences) != 6 || !strings.Contains(got.String(), "95 more elements differ") || got.Values != 100 {
		t.Errorf("%d values\n%s", got.Values, got)
	}
}

// A mean near 0 is what is left of larger numbers: it is as exact as they are.
func TestCheckComparesMeansOnTheScaleOfTheirNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		ok   bool
	}{
		{`{"mean":9.4e-11,"min":-1.2,"max":1.3}`, `{"mean":5.3e-11,"min":-1.2,"max":1.3}`, true},
		{`{"mean":0.01,"min":-1.2,"max":1.3}`, `{"mean":0.02,"min":-1.2,"max":1.3}`, false},
		{`{"mean":1e-8,"min":-1e-6,"max":1e-6}`, `{"mean":2e-8,"min":-1e-6,"max":1e-6}`, false},
		{`{"mean":9.4e-11}`, `{"mean":5.3e-11}`, false},
		{`{"mean":0,"min":1e-9,"max":1.3}`, `{"mean":0,"min":2e-9,"max":1.3}`, false},
	} {
		stored, fresh := withOutputs(nil, values(`{"values":`+c.a+`}`, "")), withOutputs(nil, values(`{"values":`+c.b+`}`, ""))
		if got := Compare(stored, fresh); got.OK() != c.ok {
			t.Errorf("%s against %s: %s", c.a, c.b, got)
		}
	}
}
