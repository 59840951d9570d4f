package notebook

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small is a notebook exactly as Jupyter writes it.
const small = `{
 "cells": [
  {
   "attachments": {
    "a.png": {
     "image/png": "aGk="
    }
   },
   "cell_type": "markdown",
   "id": "intro",
   "metadata": {
    "zebra": 1.50
   },
   "source": [
    "# Title\n",
    "text <&> é\u2028"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": 3,
   "future_field": {
    "b": [],
    "c": {}
   },
   "id": "c1",
   "metadata": {
    "tags": [
     "loris:measured"
    ]
   },
   "outputs": [
    {
     "name": "stdout",
     "output_type": "stream",
     "text": [
      "a\n",
      "b"
     ]
    },
    {
     "data": {
      "application/json": {
       "x": [
        1,
        2.0,
        1e-05
       ]
      },
      "image/png": "aGk=\n",
      "text/plain": [
       "42"
      ]
     },
     "execution_count": 3,
     "metadata": {},
     "output_type": "execute_result"
    },
    {
     "ename": "E",
     "evalue": "v",
     "output_type": "error",
     "traceback": [
      "\u001b[31mE\u001b[0m: v"
     ]
    }
   ],
   "source": []
  },
  {
   "cell_type": "raw",
   "id": "r",
   "metadata": {},
   "source": [
    "raw"
   ]
  }
 ],
 "metadata": {
  "custom": true,
  "kernelspec": {
   "display_name": "Go (Loris)",
   "language": "go",
   "name": "loris"
  }
 },
 "nbformat": 4,
 "nbformat_minor": 5,
 "unknown_at_top": null
}
`

func parse(t testing.TB, s string) *Notebook {
	t.Helper()
	nb, err := Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return nb
}

func TestNotebookIsWrittenAsItWasRead(t *testing.T) {
	s := strings.ReplaceAll(small, `\u2028`, "\u2028")
	got, err := parse(t, s).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestFieldsAreRead(t *testing.T) {
	nb := parse(t, small)
	c := nb.Cells[1]
	if nb.Language() != "go" || !c.HasTag(TagMeasured) || c.ExecutionCount != 3 || c.Outputs[0].Text != "a\nb" || c.Outputs[1].Data["text/plain"] != "42" ||
		c.Outputs[2].Traceback[0] != "\x1b[31mE\x1b[0m: v" || nb.Cells[0].Source != "# Title\ntext <&> é\u2028" {
		t.Errorf("%+v", c)
	}
}

func TestCellsGetIDs(t *testing.T) {
	const old = `{"cells":[{"cell_type":"code","source":"1","metadata":{},"outputs":[]},{"cell_type":"code","source":"1","metadata":{},"outputs":[]},{"id":"not valid!","cell_type":"raw","source":""},{"id":"same","cell_type":"raw","source":""},{"id":"same","cell_type":"raw","source":""}],"metadata":{},"nbformat":4,"nbformat_minor":2}`
	a, b := parse(t, old), parse(t, old)
	seen := map[string]bool{}
	for i, c := range a.Cells {
		if !validID().MatchString(c.ID) || seen[c.ID] || c.ID != b.Cells[i].ID {
			t.Errorf("cell %d: id %q, again %q", i, c.ID, b.Cells[i].ID)
		}
		seen[c.ID] = true
	}
	if a.Minor != 5 {
		t.Errorf("minor %d", a.Minor)
	}
}

func TestDamagedNotebooksSayWhere(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "1:1: the file is empty: not a notebook"},
		{"[]", "1:1: not a notebook: the JSON is not an object"},
		{"{\n \"cells\": [\n  {\"éé\": !]", "3:10: damaged JSON: invalid character '!' looking for beginning of value"},
		{"{\n \"cells\": [", "2:12: damaged JSON: the file ends in the middle"},
		{"{} x", "1:4: damaged JSON: text after the end of the notebook"},
		{"{\"a\": \"\xff\"}", "1:8: not UTF-8 text: not a notebook, or damaged"},
		{"{\n\"nbformat\": 3}", "2:1: notebook format 3 is too old, 4 is needed: convert it with `jupyter nbconvert --to notebook --nbformat 4`"},
		{`{"nbformat": 5, "nbformat_minor": 0}`, "1:2: notebook format 5 is newer than the format 4 that this program knows"},
		{`{"cells": []}`, "not a notebook: nbformat is missing or not a number"},
		{`{"nbformat": 4, "nbformat_minor": 5}`, "not a notebook of format 4: cells is missing or not a list"},
		{`{"nbformat": 4, "nbformat_minor": 5, "cells": [{"cell_type": "heading"}]}`, `cells[0].cell_type: unknown cell type "heading": code, markdown and raw are known`},
		{`{"nbformat": 4, "nbformat_minor": 5, "cells": [7]}`, `cells[0]: must be an object`},
		{`{"nbformat": 4, "nbformat_minor": 5, "cells": [{"cell_type":"code","source":[1]}]}`, `cells[0].source: must be a string or a list of strings`},
		{`{"nbformat": 4, "nbformat_minor": 5, "cells": [{"cell_type":"code","outputs":[{"output_type":"x"}]}]}`, `cells[0].outputs[0].output_type: unknown output type "x"`},
	} {
		_, err := Parse([]byte(c.in))
		var fe *FormatError
		if !errors.As(err, &fe) || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.in, err, c.want)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "x.ipynb")
	os.WriteFile(path, []byte("{\n!"), 0o644)
	if _, err := ReadFile(path); err == nil || !strings.HasPrefix(err.Error(), path+":2:1: damaged JSON") {
		t.Error(err)
	}
	if _, err := ReadFile(filepath.Join(dir, "no.ipynb")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := ReadFile(dir); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Error(err)
	}
}

func TestWriteFileReplacesAtOnceAndKeepsLinksAndModes(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.ipynb"), filepath.Join(dir, "link.ipynb")
	if err := os.WriteFile(real, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Skip(err)
	}
	if err := parse(t, small).WriteFile(link); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Lstat(link); st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if st, _ := os.Stat(real); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if _, err := ReadFile(real); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	if err := parse(t, small).WriteFile(filepath.Join(dir, "no", "x.ipynb")); err == nil {
		t.Error("wrote into a folder that is not there")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"nbformat":4,"nbformat_minor":5,"cells":[{"cell_type":"code","outputs":[{"output_type":"display_data","data":{"text/plain":["a"]}}]}]}`))
	f.Add([]byte("\ufeff{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		nb, err := Parse(b)
		if err != nil {
			return
		}
		once, err := nb.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, once)
		}
		twice, err := again.Bytes()
		if err != nil || string(once) != string(twice) {
			t.Fatalf("writing is not stable: %v\n%s\n%s", err, once, twice)
		}
		if _, err := nb.HTML(ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		if c := Compare(nb, again); !c.OK() {
			t.Fatalf("a notebook differs from itself:\n%s", c)
		}
	})
}
