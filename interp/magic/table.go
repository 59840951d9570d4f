package magic

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"loris/display"
	"loris/interp/symbols"
)

// table holds all magics. It is filled by init since %help reads it.
var table []Magic

func init() {
	table = []Magic{
		{Name: "%help", Args: "[NAME]", Summary: "list the magics, or explain one", run: help},
		{Name: "?", Args: "NAME", Summary: "describe a name: fmt.Println?", Doc: "Type, signature and documentation open in the pager of the front end.", run: inspect(0)},
		{Name: "??", Args: "NAME", Summary: "describe a name and show its source: f??", run: inspect(1)},

		{Name: "%who", Args: "[TYPE…]", Summary: "name the variables", Doc: "With types, only the variables of these: %who int []string", run: who},
		{Name: "%whos", Args: "[TYPE…]", Summary: "list the variables with type, size, cell and value", run: whos},
		{Name: "%reset", Args: "[-f] [NAME…]", Summary: "forget all that cells defined, or these names", Doc: "Imports stay. -f is accepted for the sake of habit: there is no question to skip.", run: reset},
		{Name: "%stale", Summary: "list cells whose inputs changed since they ran", run: stale},

		{Name: "%time", Args: "CODE", Summary: "run Go code and tell how long it took", Code: true, run: timeCode},
		{Name: "%timeit", Args: "[-n LOOPS] [-r RUNS] CODE", Summary: "time Go code over many runs", Doc: "Without -n the number of loops is chosen so that a run takes 0.2 s. Output of the code is not silenced.", Code: true, run: timeit},
		{Name: "%%time", Summary: "run the cell and tell how long it took", Code: true, run: timeCode},
		{Name: "%%timeit", Args: "[-n LOOPS] [-r RUNS]", Summary: "time the cell over many runs", Code: true, run: timeit},
		{Name: "%limit", Args: "[mem=SIZE] [time=DURATION]", Summary: "limit memory and time of each cell, or show the limits", Doc: "SIZE as 512M or 4G, DURATION as 30s or 10m; off lifts a limit: %limit mem=off", run: limit},

		{Name: "!", Args: "COMMAND", Summary: "run a shell command: !ls -l", Doc: "Output streams into the cell. A command that fails fails the cell; add || true to go on. An interrupt ends the command and what it started.", run: shellCommand},
		{Name: "%%bash", Summary: "run the cell in bash", run: script("bash")},
		{Name: "%%sh", Summary: "run the cell in sh", run: script("sh")},
		{Name: "%%script", Args: "COMMAND", Summary: "run the cell in another program: %%script python3", run: scriptAny},
		{Name: "%%writefile", Args: "[-a] FILE", Summary: "write the cell to a file, or append it with -a", run: writeFile},
		{Name: "%run", Args: "FILE", Summary: "run the Go code of a file as if it stood here", run: runFile},
		{Name: "%load", Args: "FILE", Summary: "put the text of a file into a new cell", run: load},
		{Name: "%cd", Args: "[DIR]", Summary: "change the working directory", run: cd},
		{Name: "%pwd", Summary: "name the working directory", run: pwd},
		{Name: "%env", Args: "[NAME | NAME=VALUE]", Summary: "show or set environment variables", run: env},

		{Name: "%%html", Summary: "show the cell as HTML", run: show(display.MIMEHTML)},
		{Name: "%%markdown", Summary: "show the cell as Markdown", run: show(display.MIMEMarkdown)},
		{Name: "%%latex", Summary: "show the cell as LaTeX", run: show(display.MIMELatex)},
		{Name: "%%svg", Summary: "show the cell as an SVG picture", run: show(display.MIMESVG)},

		{Name: "%packages", Args: "[WORD]", Summary: "list the packages that cells can use", run: packages},
		{Name: "%version", Summary: "tell the versions of the kernel and of Go", run: version},
	}
}

func help(_ context.Context, h Host, c Call) error {
	if c.Args != "" {
		return helpOn(h, c.Args)
	}
	t := textTable{}
	for _, m := range table {
		t.row(strings.TrimSpace(m.Name+" "+m.Args), m.Summary)
	}
	h.Write("stdout", t.String()+"\n%help NAME explains one of them.\n")
	return nil
}

func helpOn(h Host, name string) error {
	for _, n := range []string{name, "%" + name, "%%" + name} {
		if m, ok := Find(n); ok {
			h.Write("stdout", Describe(m)+"\n")
			return nil
		}
	}
	_, err := find("%"+strings.TrimLeft(name, "%"), 0, 0)
	return err
}

// Describe is the text of %help NAME.
func Describe(m Magic) string {
	text := strings.TrimSpace(m.Name+" "+m.Args) + "\n    " + m.Summary
	if m.Doc != "" {
		text += "\n    " + m.Doc
	}
	return text
}

func inspect(level int) func(context.Context, Host, Call) error {
	return func(_ context.Context, h Host, c Call) error {
		if m, ok := Find(c.Args); ok {
			h.Page(display.Bundle{Data: map[string]any{display.MIMEText: Describe(m)}})
			return nil
		}
		b, ok := h.Inspect(c.Args, level)
		if !ok {
			return fail("nothing is known about %s", c.Args)
		}
		h.Page(b)
		return nil
	}
}

func wanted(h Host, types string) []Variable {
	vars := h.Variables()
	if types == "" {
		return vars
	}
	want := strings.Fields(types)
	return slices.DeleteFunc(vars, func(v Variable) bool { return !slices.Contains(want, v.Type) })
}

func who(_ context.Context, h Host, c Call) error {
	var names []string
	for _, v := range wanted(h, c.Args) {
		names = append(names, v.Name)
	}
	if len(names) == 0 {
		h.Write("stdout", "no variables\n")
		return nil
	}
	h.Write("stdout", strings.Join(names, "  ")+"\n")
	return nil
}

func whos(_ context.Context, h Host, c Call) error {
	vars := wanted(h, c.Args)
	if len(vars) == 0 {
		h.Write("stdout", "no variables\n")
		return nil
	}
	t := textTable{}
	t.row("name", "type", "size", "cell", "value")
	for _, v := range vars {
		size := ""
		if v.Bytes > 0 {
			size = formatBytes(v.Bytes)
		}
		t.row(v.Name, v.Type, size, v.Cell, oneLine(v.Summary, 60))
	}
	h.Write("stdout", t.String())
	return nil
}

func reset(_ context.Context, h Host, c Call) error {
	names := slices.DeleteFunc(strings.Fields(c.Args), func(a string) bool { return a == "-f" })
	for _, n := range names {
		if strings.HasPrefix(n, "-") {
			return fail("%%reset does not know the option %s", n)
		}
	}
	return h.Reset(names)
}

func stale(_ context.Context, h Host, c Call) error {
	if err := noArgs(c); err != nil {
		return err
	}
	cells := h.Stale()
	if len(cells) == 0 {
		h.Write("stdout", "no cell is stale\n")
		return nil
	}
	t := textTable{}
	for _, s := range cells {
		t.row(s.Cell, s.Why)
	}
	h.Write("stdout", t.String())
	return nil
}

func noArgs(c Call) error {
	if c.Args != "" {
		return fail("%s takes no arguments, got %q", c.Name, c.Args)
	}
	return nil
}

func oneArg(c Call, what string) (string, error) {
	if c.Args == "" {
		return "", fail("%s needs %s", c.Name, what)
	}
	return unquote(c.Args), nil
}

// unquote takes quotes off a file name with spaces.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// home expands a leading ~.
func home(path string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		if dir, err := os.UserHomeDir(); err == nil {
			return filepath.Join(dir, path[1:])
		}
	}
	return path
}

func writeFile(_ context.Context, h Host, c Call) error {
	args, flags := c.Args, os.O_CREATE|os.O_WRONLY|os.O_TRUNC
	if rest, ok := strings.CutPrefix(args, "-a "); ok {
		args, flags = strings.TrimSpace(rest), os.O_CREATE|os.O_WRONLY|os.O_APPEND
	}
	if args == "" || strings.HasPrefix(args, "-") {
		return fail("%%%%writefile needs the name of a file: %%%%writefile [-a] FILE")
	}
	name := home(unquote(args))
	body := c.Body
	if body != "" && !strings.HasSuffix(body, "\n") {
		body += "\n"
	}
	_, err := os.Stat(name)
	exists := err == nil
	f, err := os.OpenFile(name, flags, 0o644)
	if err != nil {
		return fail("%v", err)
	}
	_, err = f.WriteString(body)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fail("%v", err)
	}
	verb := "wrote "
	switch {
	case flags&os.O_APPEND != 0:
		verb = "appended to "
	case exists:
		verb = "overwrote "
	}
	h.Write("stdout", verb+name+"\n")
	return nil
}

func runFile(ctx context.Context, h Host, c Call) error {
	name, err := oneArg(c, "the name of a file with Go code")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(home(name))
	if err != nil {
		return fail("%v", err)
	}
	return h.Run(ctx, string(text))
}

func load(_ context.Context, h Host, c Call) error {
	name, err := oneArg(c, "the name of a file")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(home(name))
	if err != nil {
		return fail("%v", err)
	}
	h.SetNextInput(string(text), false)
	return nil
}

func cd(_ context.Context, h Host, c Call) error {
	dir := home(unquote(c.Args))
	if c.Args == "" {
		dir = home("~")
	}
	if err := os.Chdir(dir); err != nil {
		return fail("%v", err)
	}
	return pwd(context.Background(), h, Call{})
}

func pwd(_ context.Context, h Host, c Call) error {
	if err := noArgs(c); err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return fail("%v", err)
	}
	h.Write("stdout", dir+"\n")
	return nil
}

func env(_ context.Context, h Host, c Call) error {
	if name, value, ok := strings.Cut(c.Args, "="); ok {
		name = strings.TrimSpace(name)
		if err := os.Setenv(name, unquote(strings.TrimSpace(value))); err != nil {
			return fail("%%env %s: %v", name, err)
		}
		return nil
	}
	if c.Args != "" {
		v, ok := os.LookupEnv(c.Args)
		if !ok {
			return fail("the environment variable %s is not set", c.Args)
		}
		h.Write("stdout", v+"\n")
		return nil
	}
	all := os.Environ()
	slices.Sort(all)
	h.Write("stdout", strings.Join(all, "\n")+"\n")
	return nil
}

func show(mime string) func(context.Context, Host, Call) error {
	return func(_ context.Context, h Host, c Call) error {
		if err := noArgs(c); err != nil {
			return err
		}
		h.Show(display.Bundle{Data: map[string]any{mime: c.Body, display.MIMEText: c.Body}})
		return nil
	}
}

func packages(_ context.Context, h Host, c Call) error {
	t := textTable{}
	for _, path := range symbols.Paths() {
		doc, _, _ := strings.Cut(strings.ReplaceAll(symbols.Doc(path, ""), "\n", " "), ". ")
		if strings.Contains(strings.ToLower(path+" "+doc), strings.ToLower(c.Args)) {
			t.row(path, oneLine(doc, 90))
		}
	}
	if len(t) == 0 {
		return fail("no package has to do with %q", c.Args)
	}
	h.Write("stdout", t.String())
	return nil
}

func version(_ context.Context, h Host, c Call) error {
	if err := noArgs(c); err != nil {
		return err
	}
	h.Write("stdout", h.Version()+"\n")
	return nil
}

// textTable aligns columns of text.
type textTable [][]string

func (t *textTable) row(cells ...string) { *t = append(*t, cells) }

func (t textTable) String() string {
	var widths []int
	for _, row := range t {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for _, row := range t {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-len([]rune(cell))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func oneLine(s string, limit int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}

func formatBytes(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n)/1024, 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}
