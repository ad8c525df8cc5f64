package conn

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"unicode"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// login is how one connection logs in, in this order: method none (x/crypto
// always begins with it), the agent's keys, key files, the empty password, and
// where there is somebody to ask a password that is asked for.
type login struct {
	ctx   context.Context // the dial's: x/crypto's callbacks have none
	o     *AuthOptions
	turn  *turn
	files keyFiles
	agent net.Conn // nil where there is none
	stop  func() bool
}

// errPrompt is a question that was not answered.
var errPrompt = errors.New("no answer to the question for a password")

// newLogin reads the key files and reaches for the agent.
func newLogin(ctx context.Context, o *Options, t *turn) (*login, error) {
	files, err := readKeyFiles(o.Auth.Identities)
	if err != nil {
		return nil, err
	}
	l := &login{ctx: ctx, o: &o.Auth, turn: t, files: files}
	if o.Auth.Agent {
		l.reachAgent()
	}
	return l, nil
}

// reachAgent connects to the agent, if there is one. The agent answers
// questions about keys on this machine; it is never forwarded.
func (l *login) reachAgent() {
	path := os.Getenv("SSH_AUTH_SOCK")
	if path == "" {
		return
	}
	c, err := (&net.Dialer{}).DialContext(l.ctx, "unix", path)
	if err != nil {
		return // as ssh does: the other methods are left
	}
	l.agent = &agentConn{Conn: c, turn: l.turn}
	l.stop = context.AfterFunc(l.ctx, func() { _ = c.Close() })
}

// agentConn is a connection to an agent, which may have to ask a person.
type agentConn struct {
	net.Conn
	turn *turn
}

// Read waits for the agent's answer.
func (c *agentConn) Read(p []byte) (int, error) {
	defer c.turn.ours()()
	return c.Conn.Read(p)
}

// close lets the agent go.
func (l *login) close() {
	if l.agent != nil {
		l.stop()
		_ = l.agent.Close()
	}
}

// methods returns what x/crypto tries after none, each at most once where the
// server offers it.
func (l *login) methods() []ssh.AuthMethod {
	methods := []ssh.AuthMethod{ssh.PublicKeysCallback(l.signers)}
	tries := 1
	if l.o.Prompt != nil {
		tries = 2
	}
	methods = append(methods, ssh.RetryableAuthMethod(ssh.PasswordCallback(l.passwords()), tries))
	if l.o.Prompt != nil {
		methods = append(methods, ssh.KeyboardInteractive(l.challenge))
	}
	return methods
}

// maxKeys is how many keys are offered: sshd hangs up after 6 failures
// (MaxAuthTries), and the password needs one.
const maxKeys = 5

// signers returns the keys to offer: the agent's that a given file names, the
// agent's others as far as there is room, the files'.
func (l *login) signers() ([]ssh.Signer, error) {
	var named, others []ssh.Signer
	for _, s := range l.agentKeys() {
		if l.files.name(s.PublicKey()) {
			named = append(named, s)
		} else {
			others = append(others, s)
		}
	}
	files := l.files.signers(l.passphrase)
	room := max(0, maxKeys-len(named)-len(files))
	all := slices.Concat(named, others[:min(room, len(others))], files)
	all = all[:min(maxKeys, len(all))]
	for i, s := range all {
		all[i] = withoutSHA1(s)
	}
	return all, nil
}

// withoutSHA1 has an RSA key sign with SHA-2 alone, whatever a server asks for.
func withoutSHA1(s ssh.Signer) ssh.Signer {
	if a, ok := s.(ssh.AlgorithmSigner); ok {
		if strong, err := ssh.NewSignerWithAlgorithms(a, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}); err == nil {
			return strong
		}
	}
	return s // of another type
}

// agentKeys returns the agent's keys; an agent that fails is no agent.
func (l *login) agentKeys() []ssh.Signer {
	if l.agent == nil {
		return nil
	}
	keys, err := agent.NewClient(l.agent).Signers()
	if err != nil {
		return nil
	}
	return keys
}

// passwords returns the empty password first, which is what E2B's templates
// let in, and then asks.
func (l *login) passwords() func() (string, error) {
	first := true
	return func() (string, error) {
		if first {
			first = false
			return "", nil
		}
		return l.askOnce("Password: ")
	}
}

// challenge answers keyboard-interactive, which PAM asks passwords with. A
// server's question says whose it is: what it asks in the words of one of ours
// must not be given a key's passphrase, by a person or from memory.
func (l *login) challenge(_, _ string, questions []string, _ []bool) ([]string, error) {
	answers := make([]string, len(questions))
	for i, q := range questions {
		answer, err := l.ask("The sandbox asks: " + printable(q))
		if err != nil {
			return nil, err
		}
		answers[i] = answer
	}
	return answers, nil
}

func (l *login) ask(question string) (string, error) {
	defer l.turn.ours()()
	answer, err := l.o.Prompt(l.ctx, question)
	if err != nil {
		return "", errPrompt
	}
	return answer, nil
}

// askOnce asks what an earlier dial may have asked already.
func (l *login) askOnce(question string) (string, error) {
	defer l.turn.ours()() // also while another dial asks
	return l.o.answers.get(l.ctx, question, l.ask)
}

func (l *login) passphrase(path string) (string, error) {
	if l.o.Prompt == nil {
		return "", errPrompt
	}
	return l.askOnce("Passphrase for " + path + ": ")
}

// printable makes a server's question safe for a terminal, and short.
func printable(s string) string {
	const maxQuestion = 200
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if out = append(out, r); len(out) == maxQuestion {
			break
		}
	}
	return string(out)
}
