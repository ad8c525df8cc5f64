package conn

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// maxKeyFile bounds a key file: an RSA key of 16,384 bits takes 13 KiB.
const maxKeyFile = 64 << 10

// keyFiles are the key files that a user named.
type keyFiles struct {
	private []*keyFile
	public  map[string]bool // public keys, marshalled, of all files
}

// DefaultIdentities returns the key files that ssh tries by itself and that
// exist, for who names none.
func DefaultIdentities() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var found []string
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		path := filepath.Join(home, ".ssh", name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			found = append(found, path)
		}
	}
	return found
}

// readKeyFiles reads private keys, and public ones, which say which of the
// agent's keys is meant.
func readKeyFiles(paths []string) (keyFiles, error) {
	k := keyFiles{public: make(map[string]bool)}
	for _, path := range paths {
		if err := k.add(path); err != nil {
			return k, dialFailed(NotConnected, AuthFailed, err).
				advised("Give with -i a key file that `ssh-keygen` made.")
		}
	}
	return k, nil
}

func (k *keyFiles) add(path string) error {
	data, err := readBounded(path, maxKeyFile)
	if err != nil {
		return err
	}
	if pub, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		k.public[string(pub.Marshal())] = true
		return nil
	}
	f, err := newKeyFile(path, data)
	if err != nil {
		return err
	}
	k.public[string(f.public.Marshal())] = true
	k.private = append(k.private, f)
	return nil
}

// name reports whether one of the files is of that key.
func (k *keyFiles) name(key ssh.PublicKey) bool { return k.public[string(key.Marshal())] }

// signers returns the private keys, each with its certificate before it where
// there is one (<file>-cert.pub, as ssh has it). passphrase is asked for those
// that the server takes and that are encrypted.
func (k *keyFiles) signers(passphrase func(path string) (string, error)) []ssh.Signer {
	var all []ssh.Signer
	for _, f := range k.private {
		s := &fileSigner{keyFile: f, passphrase: passphrase}
		if f.certificate != nil {
			if c, err := ssh.NewCertSigner(f.certificate, s); err == nil {
				all = append(all, c)
			}
		}
		all = append(all, s)
	}
	return all
}

// keyFile is a private key, decrypted or not.
type keyFile struct {
	path        string
	data        []byte // of an encrypted key
	public      ssh.PublicKey
	certificate *ssh.Certificate // nil where there is none
	signer      ssh.Signer       // nil while encrypted
}

func newKeyFile(path string, data []byte) (*keyFile, error) {
	f := &keyFile{path: path}
	signer, err := ssh.ParsePrivateKey(data)
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
		f.signer, f.public = signer, signer.PublicKey()
	case errors.As(err, &missing):
		f.data, f.public = data, missing.PublicKey
		if f.public == nil {
			f.public = publicBeside(path)
		}
	}
	if f.public == nil {
		return nil, fmt.Errorf("%s: not a private key, or an encrypted one in an old format without its .pub file", path)
	}
	if cert, ok := publicKeyIn(path + "-cert.pub").(*ssh.Certificate); ok {
		f.certificate = cert
	}
	return f, nil
}

// publicBeside returns the public key of path's .pub file: the old PEM formats
// do not tell the public key of an encrypted private one.
func publicBeside(path string) ssh.PublicKey { return publicKeyIn(path + ".pub") }

func publicKeyIn(path string) ssh.PublicKey {
	data, err := readBounded(path, maxKeyFile)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return key
}

// fileSigner signs with a key file and decrypts it when it first has to: only
// a key that the server takes is worth a question.
type fileSigner struct {
	*keyFile
	passphrase func(path string) (string, error)
}

var _ ssh.AlgorithmSigner = (*fileSigner)(nil)

func (s *fileSigner) PublicKey() ssh.PublicKey { return s.public }

func (s *fileSigner) Sign(r io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(r, data, "")
}

func (s *fileSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if err := s.decrypt(); err != nil {
		return nil, err
	}
	if a, ok := s.signer.(ssh.AlgorithmSigner); ok {
		return a.SignWithAlgorithm(rand.Reader, data, algorithm)
	}
	return s.signer.Sign(rand.Reader, data)
}

func (s *fileSigner) decrypt() error {
	if s.signer != nil {
		return nil
	}
	phrase, err := s.passphrase(s.path)
	if err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(s.data, []byte(phrase))
	if err != nil {
		return fmt.Errorf("%s: the passphrase does not fit", s.path)
	}
	s.signer = signer
	return nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is over %d bytes", path, limit)
	}
	return data, err
}
