package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/journal"
)

// journalDir is where the journals of one sandbox's mounts are: below the state
// that outlives a login, in a directory named after the sandbox's hash.
func journalDir(of string) (string, error) {
	home, err := stateHome()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(of))
	return filepath.Join(home, "journal", hex.EncodeToString(sum[:8])), nil
}

// openJournal delivers what earlier mounts of the sandbox left in their
// journals, and begins this mount's in async mode.
func (d *daemon) openJournal(ctx context.Context) error {
	of := d.inoKey()
	dir, err := journalDir(of)
	if err != nil {
		return err
	}
	d.remote = d.client
	if err := d.replayJournals(ctx, dir, of); err != nil || d.cfg.Writes != "async" {
		return err
	}
	if err := makeJournalDir(dir); err != nil {
		return failed(exitFailed, "Remove it, or set XDG_STATE_HOME to a directory of this user's.", "journal directory: %v", err)
	}
	if d.journal, err = journal.Create(journal.Options{
		Dir: dir, Name: journalName(), Of: of, MaxSize: int64(d.cfg.JournalSize), Log: d.log.Logger,
	}); err != nil {
		return failed(exitFailed, "Make room for it, or mount with --writes close.", "journal: %v", err)
	}
	d.remote = d.journal.Wrap(d.client)
	d.undo = append(d.undo, func() { d.closeJournal() })
	return nil
}

// makeJournalDir makes what journalDir returned, this user's alone.
func makeJournalDir(dir string) error {
	for _, dir := range []string{filepath.Dir(filepath.Dir(dir)), filepath.Dir(dir), dir} {
		if err := privateDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func journalName() string {
	return fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102T150405.000"), os.Getpid())
}

// keepUndelivered saves, once, what the mount gives up and no journal has, and
// returns what a person has to know of it; "" where there is nothing.
func (d *daemon) keepUndelivered() string {
	d.keeping.Do(func() {
		if j := d.journal; j != nil && j.Works() {
			return
		}
		var all []journal.Bytes
		for _, u := range d.tree.Undelivered() {
			all = append(all, journal.Bytes{Path: u.Path, Off: u.Off, Data: u.Data})
		}
		if len(all) == 0 {
			return
		}
		of := d.inoKey()
		dir, err := journalDir(of)
		if err == nil {
			err = makeJournalDir(dir)
		}
		var kept string
		if err == nil {
			kept, err = journal.Keep(dir, journalName(), of, all)
		}
		if err != nil {
			d.log.Error("what was not delivered could not be kept", "err", err)
			d.kept = "It could not be kept on this machine either: " + err.Error() + "\n"
			return
		}
		d.log.Warn("what was not delivered is kept", "file", kept)
		d.kept = "It is kept: `sbxmount recover " + kept + " <directory>` writes it out as files.\n"
	})
	return d.kept
}

// replayJournals tells what became of what was left.
func (d *daemon) replayJournals(ctx context.Context, dir, of string) error {
	if err := ownDir(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return failed(exitFailed, "Remove it, or set XDG_STATE_HOME to a directory of this user's.", "journal directory: %v", err)
	}
	if d.cfg.ReadOnly {
		return nil // the next mount that may write does it
	}
	r, err := journal.Replay(ctx, d.client, dir, of, d.log.Logger)
	if err != nil {
		var e *conn.Error
		if errors.As(err, &e) {
			return failed(exitNotDelivered, "It stays in "+dir+"; the next mount of the sandbox goes on with it.",
				"what an earlier mount left could not be delivered: %v", err)
		}
		return err
	}
	if r.Done > 0 {
		d.note(count(r.Done, "change", "changes") + " that an earlier mount had not delivered " + isAre(r.Done) + " on the sandbox now")
	}
	if r.Torn {
		d.note("the end of an earlier mount's journal is torn; what stood there is lost")
	}
	if r.Failed > 0 {
		for _, p := range r.Problems {
			d.note(p)
		}
		for _, kept := range r.Kept {
			d.note(count(r.Failed, "change", "changes") + " could not be delivered and " + isAre(r.Failed) + " kept: `sbxmount recover " + kept + " <directory>` writes them out as files")
		}
	}
	d.log.Info("replayed", "done", r.Done, "failed", r.Failed, "torn", r.Torn)
	return nil
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// closeJournal ends the journal, and says where it keeps what was not
// delivered; "" where it keeps nothing.
func (d *daemon) closeJournal() string {
	if d.journal == nil {
		return ""
	}
	c := d.journal.Close()
	text := ""
	if c.Waiting != "" {
		text = "It is kept in " + c.Waiting + "; the next mount of the sandbox delivers it.\n"
	}
	if c.Kept != "" {
		text += "What the sandbox refused is kept: `sbxmount recover " + c.Kept + " <directory>` writes it out as files.\n"
	}
	return text
}

func recoverCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "recover <journal> <directory>",
		Short: "Write out what could not be delivered, as files",
		Long: `recover writes the bytes that a journal holds to files below a new or empty
directory, each at its path on the sandbox. A file of which only a part was
written has holes elsewhere. CHANGES.txt there lists all changes, in order. The
journal stays as it is.`,
		Args: exactArgs(2, "recover <journal> <directory>"),
		RunE: func(cmd *cobra.Command, args []string) error {
			out, err := journal.Extract(args[0], args[1])
			if err != nil {
				return failed(exitFailed, "", "%v", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s in %s, of %s; CHANGES.txt lists them\n",
				formatSize(out.Bytes), count(len(out.Files), "file", "files"), count(out.Changes, "change", "changes"))
			if out.Torn {
				fmt.Fprintln(cmd.ErrOrStderr(), "sbxmount: the journal's end is torn; what stood there is lost")
			}
			return nil
		},
	}
}
