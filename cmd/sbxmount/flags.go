package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/spf13/pflag"
)

// The defaults of flags with a reason.
const (
	defaultCache       = 256 << 20        // holds a working tree, is missed on no laptop
	defaultWriteBuffer = 64 << 20         // some seconds of a fast link
	defaultJournal     = 1 << 30          // rarely more than twice the write buffer is used
	defaultMaxInodes   = 1_000_000        // half a gigabyte: a large source tree has a tenth of it
	defaultMaxOpen     = 65536            // what 64 processes may open that have the usual limit of 1024
	defaultMaxRequests = 1024             // far over the threads that programs read and write files with
	defaultTTL         = time.Second      // as the kernel's NFS and sshfs are used to
	defaultTimeout     = 60 * time.Second // longer than a change of networks, shorter than patience
	defaultKeepAlive   = 5 * time.Minute  // E2B's own default lifetime
)

// oneOf is a flag that takes one of a few words.
type oneOf struct {
	value *string
	words []string
}

func (o oneOf) String() string {
	if o.value == nil {
		return ""
	}
	return *o.value
}

func (o oneOf) Type() string { return strings.Join(o.words, "|") }

func (o oneOf) Set(s string) error {
	if !slices.Contains(o.words, s) {
		return fmt.Errorf("not one of %s", strings.Join(o.words, ", "))
	}
	*o.value = s
	return nil
}

func word(f *pflag.FlagSet, p *string, name, text string, words ...string) {
	*p = words[0]
	f.Var(oneOf{p, words}, name, text)
}

// linkFlags are those of every command that reaches a sandbox.
func linkFlags(f *pflag.FlagSet, c *linkConfig) {
	f.StringVarP(&c.User, "user", "u", "", "login user (default: the URL's, else \"user\")")
	f.StringArrayVarP(&c.Identities, "identity", "i", nil, "private key `file`; may be repeated (default: ~/.ssh/id_*)")
	word(f, &c.HostKeyCheck, "host-key-check", "what to do with SSH host keys", "accept-new", "strict", "off")
	f.StringVar(&c.KnownHosts, "known-hosts", "", "`file` of known host keys (default: ~/.config/sbxmount/known_hosts)")
	f.StringVar(&c.TrafficToken, "traffic-token", "", "`token` for a sandbox without public traffic; better in $"+tokenEnv)
	f.StringArrayVar(&c.Headers, "header", nil, "`'K: V'` to send when connecting; may be repeated")
	f.StringVar(&c.CAFile, "ca-file", "", "PEM `file` of a CA to trust beside the system's")
	f.StringVar(&c.URL, "url", "", "another provider's URL `template` with {id} and {port}; also in $"+urlEnv)
	f.IntVar(&c.Port, "port", sandbox.DefaultPort, "the bridge's `port` in the sandbox")
	f.BoolVar(&c.Insecure, "insecure", false, "allow ws:// and http:// to other machines than this one")
	word(f, &c.Resume, "resume", "what to do with a paused sandbox (needs an API key)", "auto", "never")
	f.BoolVar(&c.NoAgent, "no-agent", false, "leave the SSH agent alone")
}

// fromEnvironment fills in what flags left open.
func (c *linkConfig) fromEnvironment() {
	if c.URL == "" {
		c.URL = os.Getenv(urlEnv)
	}
	if c.TrafficToken == "" {
		c.TrafficToken = os.Getenv(tokenEnv)
	}
}

// mountFlags are those of a mount. -o is parsed last, over the others.
func mountFlags(f *pflag.FlagSet, c *config, options *[]string) {
	f.BoolVarP(&c.Foreground, "foreground", "f", false, "stay in the foreground and log to the terminal")
	f.StringArrayVarP(options, "option", "o", nil, "mount `options`, separated by commas: "+optionSummary)
	linkFlags(f, &c.Link)

	c.CacheSize, c.WriteBuffer = defaultCache, defaultWriteBuffer
	f.Var(&c.CacheSize, "cache-size", "memory for file content")
	f.Var(&c.WriteBuffer, "write-buffer", "memory for what is on its way to the sandbox")
	f.IntVar(&c.MaxInodes, "max-inodes", defaultMaxInodes, "`files` whose attributes are kept in memory at most; those over it give ENOMEM")
	f.IntVar(&c.MaxOpen, "max-open", defaultMaxOpen, "`files` and directories that may be open; one more gives ENFILE")
	f.IntVar(&c.MaxRequests, "max-requests", defaultMaxRequests, "`requests` of programs that may wait at a time; one more gives ENOMEM")
	f.DurationVar(&c.TTL, "ttl", defaultTTL, "how long names and attributes are trusted; 0 asks each time")
	word(f, &c.Writes, "writes", "what a change waits for: close and fsync do; each write does; or fsync alone, with a journal", "close", "through", "async")
	c.JournalSize = defaultJournal
	f.Var(&c.JournalSize, "journal-size", "with --writes async, room on the local disk for what is on its way; with half of it taken, changes are waited for")
	word(f, &c.Symlinks, "symlinks", "what symbolic links show: where they lead on the sandbox, or its raw text", "contain", "raw")
	f.BoolVar(&c.NoOutside, "no-outside", false, "links that lead out of the mounted directory can't be followed")
	f.DurationVar(&c.Link.Timeout, "timeout", defaultTimeout, "how long an operation waits for a dead link; 0 for ever")
	word(f, &c.Link.SFTPClient, "sftp-client", "whose SFTP client", "own", "pkg")
	f.DurationVar(&c.KeepAlive, "keep-alive", defaultKeepAlive, "with an API key, a used sandbox lives at least this long on; 0 leaves its life alone")
	logFlags(f, &c.Log)
}

func logFlags(f *pflag.FlagSet, c *logConfig) {
	f.CountVarP(&c.Verbose, "verbose", "v", "log more; twice logs every request")
	f.StringVar(&c.File, "log-file", "", "log to this `file` (default: below ~/.local/state/sbxmount/log)")
	word(f, &c.Format, "log-format", "how the log is written", "text", "json")
}

// The least that programs can work with: the files of some directories, and what
// a few programs open and ask for at once. The kernel alone reads ahead with
// more than a hundred requests.
const (
	minInodes = 1000
	minOpen   = 256
)

// journalBuffers is how many times the write buffer the journal holds at least:
// what waits is less than half of it then, and can always be written anew.
const journalBuffers = 4

// check looks at what flags say together.
func (c *config) check() error {
	switch {
	case c.TTL < 0 || c.Link.Timeout < 0 || c.KeepAlive < 0:
		return usage("a negative duration makes no sense")
	case c.Link.Port < 1 || c.Link.Port > 65535:
		return usage("--port %d is not between 1 and 65535", c.Link.Port)
	case c.CacheSize < 1<<20 || c.WriteBuffer < 1<<20:
		return usage("--cache-size and --write-buffer are 1M at least")
	case c.Writes == "async" && c.WriteBuffer > c.JournalSize/journalBuffers:
		return usage("--journal-size is %d times --write-buffer at least", journalBuffers)
	case c.MaxInodes < minInodes || c.MaxOpen < minOpen || c.MaxRequests < minOpen:
		return usage("--max-inodes is %d at least, --max-open and --max-requests %d", minInodes, minOpen)
	}
	if c.Log.File == "" {
		return nil
	}
	for _, file := range []string{c.Log.File, crashFile(c.Log.File)} {
		if err := ownFile(file); err != nil {
			return usage("--log-file: %v", err)
		}
	}
	return nil
}
