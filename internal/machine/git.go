package machine

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// Git is the state of a repository.
type Git struct {
	Revision string `json:"revision"`
	Branch   string `json:"branch,omitempty"`
	// Dirty says that tracked files differ from the revision.
	Dirty bool `json:"dirty"`
}

func (g Git) String() string {
	s := g.Revision
	if len(s) > 12 {
		s = s[:12]
	}
	if g.Dirty {
		s += " with changes"
	}
	return s
}

// ReadGit returns the state of the repository that holds dir (empty: the
// working folder), nil if there is none, or no git program.
func ReadGit(dir string) *Git {
	git := func(args ...string) (string, bool) {
		// A repository on a slow disk must not hold up a measurement.
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		// Optional locks would disturb a git command of the user.
		cmd := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err == nil
	}
	revision, ok := git("rev-parse", "HEAD")
	if !ok {
		return nil
	}
	g := &Git{Revision: revision}
	g.Branch, _ = git("rev-parse", "--abbrev-ref", "HEAD")
	changes, ok := git("status", "--porcelain", "--untracked-files=no")
	g.Dirty = ok && changes != ""
	return g
}
