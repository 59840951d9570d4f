// Package history stores the cells that were run, across sessions, in a SQLite
// file, and answers Jupyter's history_request from it. A file that is locked or
// damaged never stops a kernel: history then lives in memory.
package history

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// Entry is one executed cell. Session numbers count kernels, lines count cells.
type Entry struct {
	Session int64
	Line    int
	Input   string
	Output  string // text of the result, if there was one
}

// Store is the history of one session with access to all earlier ones. It is
// safe for concurrent use. Writes return at once; reads see all earlier writes.
type Store struct {
	jobs chan func(*database)
	done chan struct{}
}

type database struct {
	db      *sql.DB
	session int64
	log     *slog.Logger
}

const schema = `
CREATE TABLE IF NOT EXISTS sessions (
	session INTEGER PRIMARY KEY AUTOINCREMENT, start TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cells (
	id INTEGER PRIMARY KEY, session INTEGER NOT NULL, line INTEGER NOT NULL,
	input TEXT NOT NULL, output TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS cells_by_line ON cells (session, line);`

// Path is where history is kept unless LORIS_HISTORY names another file.
func Path() (string, error) {
	if p := os.Getenv("LORIS_HISTORY"); p != "" {
		return p, nil
	}
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no place for the history: %w (set LORIS_HISTORY to a file)", err)
		}
		dir = filepath.Join(home, ".local", "state")
		if runtime.GOOS == "darwin" {
			dir = filepath.Join(home, "Library", "Application Support")
		}
	}
	return filepath.Join(dir, "loris", "history.sqlite"), nil
}

// Open starts a session in the history file at path; "" keeps it in memory. It
// returns at once and opens the file beside the caller, who may be starting up.
func Open(path string, log *slog.Logger) *Store {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{jobs: make(chan func(*database), 1024), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		d := openDatabase(path, log)
		if d.db != nil {
			defer d.db.Close()
		}
		for job := range s.jobs {
			if job == nil {
				return
			}
			job(d)
		}
	}()
	return s
}

// openDatabase tries the file, then the file anew if the old one is damaged,
// then memory.
func openDatabase(path string, log *slog.Logger) *database {
	if path != "" {
		d, err := openFile(path, log)
		if err != nil && damaged(err) {
			aside := fmt.Sprintf("%s.damaged-%s", path, time.Now().Format("20060102-150405"))
			log.Warn("history file is damaged: it is set aside and a new one begun", "file", path, "aside", aside, "err", err)
			if os.Rename(path, aside) == nil {
				d, err = openFile(path, log)
			}
		}
		if err == nil {
			return d
		}
		log.Warn("history is kept in memory only", "file", path, "err", err)
	}
	d, err := openURL("file::memory:", log)
	if err != nil {
		log.Error("no history", "err", err)
		return &database{log: log}
	}
	return d
}

func openFile(path string, log *slog.Logger) (*database, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// WAL lets several kernels write; NORMAL loses at most the last cells if the
	// machine, not the kernel, goes down.
	url := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) +
		"?_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	return openURL(url, log)
}

func openURL(url string, log *slog.Logger) (*database, error) {
	db, err := sql.Open("sqlite", url)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	d := &database{db: db, log: log}
	if _, err = db.Exec(schema); err == nil {
		var r sql.Result
		if r, err = db.Exec("INSERT INTO sessions (start) VALUES (?)", time.Now().UTC().Format(time.RFC3339)); err == nil {
			d.session, err = r.LastInsertId()
		}
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return d, nil
}

func damaged(err error) bool {
	text := err.Error()
	return strings.Contains(text, "malformed") || strings.Contains(text, "not a database") || strings.Contains(text, "no such column")
}

// do runs a job in order with all others; after Close it does nothing.
func (s *Store) do(job func(*database)) {
	select {
	case s.jobs <- job:
	case <-s.done:
	}
}

// wait is do until the job has run. It reports whether it has.
func (s *Store) wait(job func(*database)) bool {
	ran := make(chan struct{})
	s.do(func(d *database) {
		job(d)
		close(ran)
	})
	select {
	case <-ran:
		return true
	case <-s.done:
		return false
	}
}

// Add stores a cell of this session.
func (s *Store) Add(line int, input string) {
	s.do(func(d *database) {
		d.exec("INSERT INTO cells (session, line, input) VALUES (?, ?, ?)", d.session, line, input)
	})
}

// SetOutput stores the text of a cell's result.
func (s *Store) SetOutput(line int, output string) {
	s.do(func(d *database) {
		d.exec("UPDATE cells SET output = ? WHERE id = (SELECT max(id) FROM cells WHERE session = ? AND line = ?)", output, d.session, line)
	})
}

func (d *database) exec(query string, args ...any) {
	if d.db == nil {
		return
	}
	if _, err := d.db.Exec(query, args...); err != nil {
		d.log.Warn("history is not written", "err", err)
	}
}

// Session returns the number of this session.
func (s *Store) Session() (session int64) {
	s.wait(func(d *database) { session = d.session })
	return session
}

// Range returns the cells of a session with start ≤ line < stop; stop < 0 means
// to the end. Session 0 is the present one, -1 the one before, and so on.
func (s *Store) Range(session int64, start, stop int) ([]Entry, error) {
	return s.read(func(d *database) (string, []any) {
		if session <= 0 {
			session += d.session
		}
		query, args := "WHERE session = ? AND line >= ?", []any{session, start}
		if stop >= 0 {
			query, args = query+" AND line < ?", append(args, stop)
		}
		return query + " ORDER BY id", args
	})
}

// Tail returns the newest n cells of all sessions, oldest first.
func (s *Store) Tail(n int) ([]Entry, error) {
	return s.newest(func(*database) (string, []any) { return "ORDER BY id DESC LIMIT ?", []any{limit(n)} })
}

// Search returns the newest n cells (n ≤ 0: all) whose input matches a pattern
// with * and ?, oldest first. With unique, equal inputs count once, by their
// newest cell.
func (s *Store) Search(pattern string, n int, unique bool) ([]Entry, error) {
	// GLOB knows character sets as well, the protocol does not.
	pattern = strings.ReplaceAll(pattern, "[", "[[]")
	return s.newest(func(*database) (string, []any) {
		where := "WHERE input GLOB ?"
		if unique {
			where = "WHERE id IN (SELECT max(id) FROM cells WHERE input GLOB ? GROUP BY input)"
		}
		return where + " ORDER BY id DESC LIMIT ?", []any{pattern, limit(n)}
	})
}

func limit(n int) int {
	if n <= 0 {
		return -1 // SQLite: no limit
	}
	return n
}

func (s *Store) newest(query func(*database) (string, []any)) ([]Entry, error) {
	list, err := s.read(query)
	slices.Reverse(list)
	return list, err
}

func (s *Store) read(query func(*database) (string, []any)) (list []Entry, err error) {
	ran := s.wait(func(d *database) {
		if d.db == nil {
			err = errNone
			return
		}
		rest, args := query(d)
		list, err = scan(d.db.Query("SELECT session, line, input, output FROM cells "+rest, args...))
	})
	if !ran {
		return nil, errNone
	}
	return list, err
}

var errNone = errors.New("there is no history")

func scan(rows *sql.Rows, err error) ([]Entry, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []Entry{}
	for rows.Next() {
		var e Entry
		if err := rows.Scan(&e.Session, &e.Line, &e.Input, &e.Output); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// Close writes what is queued and closes the file.
func (s *Store) Close() {
	s.do(nil)
	<-s.done
}
